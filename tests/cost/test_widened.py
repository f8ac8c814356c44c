"""Numbers that no processor multiplies are computed in the next wider format that it has, and it is said."""

from __future__ import annotations

import pytest

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.energy import estimate_energy
from addercost.cost.estimate import estimate
from addercost.cost.formats import ReformattedLayer
from addercost.cost.sequences import site_sequence
from addercost.cost.target_registry import load_target
from addercost.hardware import load_energy

SITES = 64_000
FP8 = OpCounts.of("float8_e4m3fn", mul=SITES) + OpCounts.of("fp32", add=SITES)
TERNARY = OpCounts.of("ternary", logic=SITES) + OpCounts.of("int32", add=SITES)


def layer(counts: OpCounts) -> ReformattedLayer:
    arithmetic = Arithmetic.TERNARY if counts == TERNARY else Arithmetic.MAC
    return ReformattedLayer("fc", counts, arithmetic, SITES, 0)


@pytest.mark.parametrize(
    ("cpu", "number_format", "wide"),
    [
        # Zen 4 has dot products of bf16; a Haswell has neither those nor arithmetic of fp16.
        ("amd-zen4", "float8_e4m3fn", "bf16"),
        ("intel-haswell", "float8_e5m2", "fp32"),
    ],
)
def test_the_loop_of_a_wider_format(cpu: str, number_format: str, wide: str) -> None:
    target = load_target(cpu)
    narrow, known = (site_sequence(target, Arithmetic.MAC, f) for f in (number_format, wide))
    assert narrow is not None and known is not None
    assert (narrow.steps, narrow.sites) == (known.steps, known.sites)
    assert narrow.assumption.startswith(f"widened to {wide} first")


@pytest.mark.parametrize(
    ("counts", "wide"),
    [
        pytest.param(FP8, OpCounts.of("bf16", mul=SITES) + OpCounts.of("fp32", add=SITES), id="fp8"),
        pytest.param(TERNARY, OpCounts.of("int8", mul=SITES) + OpCounts.of("int32", add=SITES), id="ternary"),
    ],
)
def test_cycles_are_those_of_the_wider_format(counts: OpCounts, wide: OpCounts) -> None:
    target = load_target("amd-zen4")
    narrow, known = (estimate([layer(c)], target, "throughput") for c in (counts, wide))
    assert narrow.cycles == known.cycles > 0 and narrow.complete
    assert any("widened" in assumption for assumption in narrow.assumptions)


@pytest.mark.parametrize(
    ("counts", "op_class", "number_format"),
    [(FP8, OpClass.MUL, "float8_e4m3fn"), (TERNARY, OpClass.LOGIC, "ternary")],
    ids=["fp8", "ternary"],
)
def test_an_energy_without_a_figure_is_named(counts: OpCounts, op_class: OpClass, number_format: str) -> None:
    made = estimate_energy([layer(counts)], load_energy("45nm"))
    assert not made.complete
    assert [missing.figure for missing in made.missing] == [f"the energy of {op_class} ({number_format})"]
