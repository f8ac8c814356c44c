"""The throughput bounds of the inner loops against LLVM's own simulation of its scheduling models.

The tables have each instruction alone. This checks that several of them share ports as the bounds say.
"""

import pytest
from mca_loop import simulated_cycles, triple_and_core

from addercost.arithmetic import Arithmetic
from addercost.cost.bounds import ThroughputBounds, binding
from addercost.cost.sequences import site_sequence
from addercost.cost.target_registry import load_target
from addercost.hardware import list_hardware, load_cpu

pytestmark = pytest.mark.exhaustive
"""llvm-mca is installed for the exhaustive part alone."""
TOLERANCE = 0.15
MAC_FP32 = Arithmetic.MAC, "fp32"
ADDER_FP32 = Arithmetic.ADDER, "fp32"
MAC_INT8 = Arithmetic.MAC, "int8"
ADDER_UINT8 = Arithmetic.ADDER, "uint8"
XNOR = Arithmetic.XNOR, "bool"
LOOPS = (MAC_FP32, ADDER_FP32, MAC_INT8, ADDER_UINT8, XNOR)

IN_ORDER = "an in-order core stalls where the bounds let instructions overtake each other"
GROUPS = "an instruction of several micro-ops does not straddle dispatch groups; the issue bound lets it"
SPREAD = "the simulated scheduler does not find the best spread over the ports"
UNKNOWN = "the table lacks ports that contradict a rate, so that the bounds let more overlap"
DIFFERENCES = {
    "amd-piledriver": ({ADDER_UINT8}, "the model's integer units are shared in part"),
    "cortex-a320": ({XNOR}, IN_ORDER),
    "cortex-a510": ({XNOR}, IN_ORDER),
    "cortex-a55": ({XNOR}, IN_ORDER),
    "intel-bonnell": ({ADDER_FP32, MAC_INT8, ADDER_UINT8, XNOR}, IN_ORDER),
    "kryo": ({XNOR}, SPREAD),
    "olympus": ({ADDER_FP32, ADDER_UINT8, XNOR}, UNKNOWN),
    "thunderx": ({ADDER_FP32}, IN_ORDER),
    "thunderx2t99": ({MAC_FP32, ADDER_FP32, MAC_INT8, ADDER_UINT8}, GROUPS),
}
"""Where the two part by more than the tolerance, and why. They cannot be compared there."""


def modelled() -> list[str]:
    """The tables whose figures come from a model that llvm-mca can simulate."""
    names = [file.name for file in list_hardware(kind="cpu") if file.origin == "built-in"]
    targets = {name: triple_and_core(load_cpu(name)) for name in names}
    return [name for name, found in targets.items() if found and found[0] in ("x86_64", "aarch64")]


def is_the_models_own(name: str, loop: tuple[Arithmetic, str]) -> bool:
    """Whether no figure of the loop was replaced by one that is better than the model's."""
    sequence = site_sequence(load_target(name), *loop)
    return all(row.source == "llvm" for row, _ in sequence.executions)


def bound_cycles(name: str, arithmetic: Arithmetic, number_format: str) -> tuple[float, float]:
    """(by the bounds, by the simulation), of one step."""
    target = load_target(name)
    sequence = site_sequence(target, arithmetic, number_format)
    bounds = ThroughputBounds(target)([(step.instruction, step.times) for step in sequence.steps])
    return binding(bounds).cycles, simulated_cycles(load_cpu(name), sequence)


@pytest.mark.parametrize(
    ("name", "arithmetic", "number_format"),
    [
        pytest.param(name, *loop, id=f"{name}-{loop[0]}-{loop[1]}")
        for name in modelled()
        for loop in LOOPS
        if loop not in DIFFERENCES.get(name, ((), ""))[0] and is_the_models_own(name, loop)
    ],
)
def test_inner_loops_take_as_long_as_llvm_mca_says(name, arithmetic, number_format):
    bound, simulated = bound_cycles(name, arithmetic, number_format)
    assert bound == pytest.approx(simulated, rel=TOLERANCE)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_no_difference_is_listed_that_is_none(name):
    for arithmetic, number_format in DIFFERENCES[name][0]:
        bound, simulated = bound_cycles(name, arithmetic, number_format)
        assert bound != pytest.approx(simulated, rel=TOLERANCE), (arithmetic, number_format)
