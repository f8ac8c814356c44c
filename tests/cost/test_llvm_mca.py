"""The throughput bounds of the inner loops against LLVM's own simulation of its scheduling models.

The tables hold each instruction alone; that several of them share ports as the bounds say is what this
checks.
"""

import re
import subprocess

import pytest
from mca_loop import find_llvm_mca, known_cores, simulated_cycles, triple_and_core

from addercost.arithmetic import Arithmetic
from addercost.cost.bounds import ThroughputLimits
from addercost.cost.sequences import site_sequence
from addercost.hardware import list_hardware, load_cpu

pytestmark = pytest.mark.skipif(find_llvm_mca() is None, reason="llvm-mca is not installed (Debian: llvm)")

TOLERANCE = 0.15
LOOPS = (
    (Arithmetic.MAC, "fp32"),
    (Arithmetic.ADDER, "fp32"),
    (Arithmetic.MAC, "int8"),
    (Arithmetic.ADDER, "uint8"),
    (Arithmetic.XNOR, "bool"),
)

ALL = tuple(arithmetic for arithmetic, _ in LOOPS)
IN_ORDER = "an in-order core stalls where the bounds let instructions overtake each other"
GROUPS = "an instruction of several micro-ops does not straddle dispatch groups; the issue bound lets it"
OTHER_VERSION = "LLVM 22, which the figures come from, and the simulating version model this core differently"
DIFFERENCES = {
    "amd-piledriver": ((Arithmetic.ADDER, Arithmetic.XNOR), "the model's integer units are shared in part"),
    "cortex-a510": ((Arithmetic.XNOR,), IN_ORDER),
    "cortex-a55": ((Arithmetic.XNOR,), IN_ORDER),
    "intel-bonnell": (ALL, IN_ORDER),
    "intel-lunarlake-p": (ALL, OTHER_VERSION),
    "kryo": ((Arithmetic.XNOR,), "the simulated scheduler does not find the best spread over the ports"),
    "neoverse-v3": ((Arithmetic.ADDER, Arithmetic.XNOR), OTHER_VERSION),
    "thunderx2t99": (ALL, GROUPS),
    "thunderx3t110": ((Arithmetic.ADDER,), GROUPS),
}
"""Where the two part by more than the tolerance, and why."""

REMODELLED_SINCE_14 = {
    "amd-piledriver",
    "amd-zen1",
    "amd-zen2",
    "amd-zen3",
    "cortex-a510",
    "intel-icelake",
    "intel-icelake-sp",
    "intel-sapphirerapids",
    "neoverse-n1",
    "neoverse-v1",
}


def modelled(name: str) -> bool:
    target = triple_and_core(load_cpu(name))
    return target is not None and target[0] in ("x86_64", "aarch64")


def version() -> int:
    done = subprocess.run([find_llvm_mca() or "", "--version"], capture_output=True, text=True)
    match = re.search(r"version (\d+)", done.stdout)
    return int(match[1]) if match else 0


@pytest.mark.parametrize("name", [f.name for f in list_hardware(kind="cpu") if modelled(f.name)])
def test_inner_loops_take_as_long_as_llvm_mca_says(name):
    cpu = load_cpu(name)
    triple, core = triple_and_core(cpu)
    if core not in known_cores(triple):
        pytest.skip(f"llvm-mca {version()} does not know {core}")
    if version() < 19 and name in REMODELLED_SINCE_14:
        pytest.skip(f"llvm-mca {version()} has an older model of {core} than the table")
    excused, reason = DIFFERENCES.get(name, ((), ""))
    compared = 0
    for arithmetic, number_format in LOOPS:
        sequence = site_sequence(cpu, arithmetic, number_format)
        if sequence is None or arithmetic in excused:
            continue
        simulated = simulated_cycles(cpu, sequence)
        if simulated is None:
            continue  # an older assembler may not know the instruction
        bound = ThroughputLimits(cpu).binding([(s.instruction, s.times) for s in sequence.steps])
        compared += 1
        assert bound.cycles == pytest.approx(simulated, rel=TOLERANCE), (
            arithmetic,
            number_format,
            sequence.text,
        )
    if not compared:
        pytest.skip(f"not compared: {reason or 'no sequence llvm-mca can assemble'}")
