"""Ratios of estimates side by side, where either may be a lower bound."""

from __future__ import annotations

import random
from typing import Any

import made_models
import pytest

from addercost.analysis.bounds import AtLeast, AtMost
from addercost.analysis.estimate_ratio import estimate_ratio, hidden_ratio
from addercost.arithmetic import Arithmetic
from addercost.report.table import Column, Kind, shown
from addercost.report.tables.comparison import side_by_side_table


def test_side_by_side_of_the_papers_processor() -> None:
    """n sites: 4n + 2n cycles as CNN, 2n + 2n as adder: 1.5, and no other convention's bound."""
    table = side_by_side_table(made_models.subject(["a"], cpus=("via-nano-2000",)))
    row = next(row for row in table.rows if row["quantity"].startswith("via-nano-2000, latency-sum"))
    assert row["CNN"] == 6000 and row["adder"] == 4000 and row["CNN/adder"] == 1.5


@pytest.mark.parametrize(
    ("model", "same_gaps", "known"),
    [
        pytest.param("latency-sum", False, True, id="a sum"),
        pytest.param("throughput", True, True, id="throughput, missing in layers of both"),
        # Port p 30 and 0 cycles, port q 0 and 20: with 15 unknown ones on p it is 45 / 20, not ≤ 30 / 20.
        pytest.param("throughput", False, False, id="throughput, missing beside what differs"),
        pytest.param("roofline", False, False, id="roofline, missing beside what differs"),
    ],
)
def test_where_what_is_missing_can_hide_there_is_no_bound(model: str, same_gaps: bool, known: bool) -> None:
    from addercost.results.report import Estimated

    one, two = (
        Estimated("CNN", "cpu", model, cycles, None, False, 0.99, ("x",), same_gaps=same_gaps)
        for cycles in (30, 20)
    )
    assert (estimate_ratio(30, one, 20, two) is not None) == known
    assert estimate_ratio(30, one, 20, two) == (AtMost(1.5) if known else None)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param("other layer", True, id="shifts in a layer of both"),
        pytest.param("same layer", False, id="shifts in a layer that changes"),
    ],
)
def test_gaps_are_compared_layer_by_layer(change: str, same: bool) -> None:
    """The VIA Nano's table has no shift. Those of a norm of its own are the same whatever becomes of the
    convolution; as part of the convolution's layer they are not."""
    import torch

    from addercost.analysis.subjects import Wanted, subject_from_trace
    from addercost.trace.tracer import trace

    def doubled(x: Any) -> Any:
        return x.to(torch.int32) << 1

    class Normed(torch.nn.Conv2d):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            y = super().forward(x)
            return doubled(y) if change == "same layer" else y

    class Norm(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x if change == "same layer" else doubled(x)

    model = torch.nn.Sequential(Normed(64, 64, 3), Norm())
    traced = trace(model, torch.zeros(1, 64, 16, 16))
    wanted = Wanted(arithmetics=(Arithmetic.ADDER,), cpus=("via-nano-2000",), energy=())
    subject = subject_from_trace("a", traced, wanted)
    found = {(e.model, e.arithmetic): e for e in subject.estimates}
    assert not found["throughput", "adder"].complete
    assert found["throughput", "adder"].same_gaps == same
    rows = {row["quantity"]: row for row in side_by_side_table(subject).rows}
    bound = rows["via-nano-2000, throughput (estimate)"]["CNN/adder"]
    assert isinstance(bound, AtLeast)
    # Where the shifts may hide behind the convolution of their layer, the bound is further from 1.
    assert same == (float(bound) == found["throughput", "CNN"].cycles / found["throughput", "adder"].cycles)
    assert isinstance(rows["via-nano-2000, latency-sum (estimate)"]["CNN/adder"], AtMost)


def test_ratio_of_sums_whose_unknown_part_may_hide() -> None:
    """Random networks of layers that take the largest load of three units, by brute force: with any unknown
    work in some layers, the same in both networks, their ratio keeps to the bound that is made without it."""
    draw = random.Random(5)
    sides = set()
    for _ in range(300):
        layers = draw.randrange(1, 5)
        one, two = (
            [[draw.uniform(0, scale) for _ in range(3)] for _ in range(layers)]
            for scale in (1, draw.choice((0.3, 1, 4)))
        )
        lacking = [draw.random() < 0.6 for _ in range(layers)]

        def cost(loads: list[list[float]], unknown: list[list[float]]) -> float:
            return sum(max(map(sum, zip(*pair, strict=True))) for pair in zip(loads, unknown, strict=True))

        nothing = [[0.0] * 3] * layers
        value, other = cost(one, nothing), cost(two, nothing)
        gaps = [sum(max(x) for x, gap in zip(side, lacking, strict=True) if gap) for side in (one, two)]
        bound = hidden_ratio(value, gaps[0], other, gaps[1])
        assert bound is not None
        sides.add(type(bound))
        for size in (0, 0.01, 0.3, 1, 3, 100):
            unknown = [[draw.uniform(0, size) * gap for _ in range(3)] for gap in lacking]
            true = cost(one, unknown) / cost(two, unknown)
            assert true <= bound + 1e-9 if isinstance(bound, AtMost) else true >= bound - 1e-9
    assert sides == {AtLeast, AtMost}


def test_ratio_of_two_lower_bounds() -> None:
    """(a + x) / (b + x) for the same unknown x ≥ 0 lies between a / b and 1."""
    from addercost.results.report import Estimated

    def made(cycles: float, missing: str = "x", charged: float = 0.99) -> Estimated:
        return Estimated("CNN", "cpu", "latency-sum", cycles, None, not missing, charged, (missing,))

    one, two = made(30), made(20)
    bound = estimate_ratio(30, one, 20, two)
    assert isinstance(bound, AtMost) and bound == 1.5
    assert shown(bound, Column("r", "r", Kind.RATIO)) == "≤ 1.500×"
    assert type(estimate_ratio(30, one, 30, made(30))) is float, "both leave out the same, so 1 is exact"
    assert estimate_ratio(30, one, 20, made(20, "y")) is None
    assert estimate_ratio(30, one, 20, made(20, charged=0.5)) is None
