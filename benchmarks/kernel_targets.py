"""Which targets a run of `benchmarks.kernels` reached for each class of layers, and which layers are
below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Row = dict[str, Any]


def summary(layers: list[Row], rivals: list[Row], start: Row, cores: list[Row]) -> Iterator[str]:
    """A line for each target: the target, its class of layers, met or NOT MET, the smallest figure, and all
    layers below it.
    """
    for kind, minimum in (("resnet", 0.9), ("small", 0.6)):
        yield from _target(
            f"adder ≥ {minimum} of the add limit (two additions a site)",
            kind,
            layers,
            minimum,
            lambda r: r["share"]["adder / two additions"],
            lambda r: f"{r['weight_mb']:.1f} MB of weights, each meets {r['pixels']} outputs",
        )
    for kind in ("resnet", "small"):
        yield from _target("mac ≥ 0.95 of torch", kind, layers, 0.95, lambda r: r["ratio"]["mac / torch"])
        yield from _target(
            "u8 ≥ 0.9 of its limit",
            kind,
            layers,
            0.9,
            lambda r: r["share"]["adder u8"],
            lambda r: f"moving input and output alone takes {r['moving']['adder u8']:.2f} of its time",
        )
        yield from _target(
            "u8 ≥ 4 × adder",
            kind,
            layers,
            4,
            lambda r: r["ratio"]["u8 / adder"],
            lambda r: _bound(r, "u8 / adder", 4),
        )
        yield from _target(
            "binary kernel on packed signs ≥ 20 × adder",
            kind,
            layers,
            20,
            lambda r: r["ratio"]["binary kernel / adder"],
            lambda r: f"the bare loop would be {r['bounds']['binary kernel / adder'][0]:.1f}",
        )
        yield from _target(
            "packed binary layer ≥ 20 × adder layer",
            kind,
            layers,
            20,
            lambda r: r["ratio"]["packed / adder"],
            lambda r: _bound(r, "packed / adder", 20),
        )
    for what, minimum in (("forward", 20), ("training step", 10)):
        yield from _target(
            f"{what} ≥ {minimum} × unfold + cdist",
            "rivals",
            rivals,
            minimum,
            lambda r, what=what: r[what]["cdist"],
            lambda r, what=what: (
                f"at the add limit it would be {r['at the limit']:.1f}" if what == "forward" else ""
            ),
        )
    yield from _target(
        "memory ≤ 2 × inputs + outputs + weights", "rivals", rivals, -2, lambda r: -r["memory"]["ours"]
    )
    yield from _target("two cores ≥ 1.8 × one", "cores", cores, 1.8, lambda r: r["ratio"])
    if start:
        slowest, total = max(start["seconds"]), sum(start["seconds"])
        yield _line("compile < 1 s a class", "", slowest < 1, f"slowest {slowest:.2f} s")
        detail = f"{len(start['seconds'])} classes, {total:.2f} s"
        yield _line("ResNet-50 compiles in < 5 s", "", total < 5, detail)
        again = sum(start["loaded"])
        yield _line("ResNet-50's kernels load again in < 1 s", "", again < 1, f"{again:.2f} s")


def _bound(row: Row, name: str, minimum: float) -> str:
    """The highest possible rate of a layer, whose input and output must be moved and whose sites must be
    computed.
    """
    at_once, in_turn = row["bounds"][name]
    out_of_reach = ", so the target is out of reach" if at_once < minimum else ""
    return (
        f"moving input and output while the inner loop runs at its limit would be {at_once:.1f}, "
        f"before and after it {in_turn:.1f}{out_of_reach}"
    )


def _target(
    title: str,
    kind: str,
    rows: list[Row],
    minimum: float,
    figure: Callable[[Row], float],
    reason: Callable[[Row], str] = lambda row: "",
) -> Iterator[str]:
    """A line for the target and one for each row that misses it. A negative minimum stands for a maximum."""
    of_kind = [row for row in rows if row["kind"] == kind]
    if not of_kind:
        return
    below = [row for row in of_kind if figure(row) < minimum]
    worst = min(figure(row) for row in of_kind)
    detail = f"{len(of_kind) - len(below)} of {len(of_kind)}, worst {abs(worst):.2f}"
    yield _line(title, kind, not below, detail)
    for row in below:
        because = reason(row)
        name = f"{row['layer']} ({row['layout']})" if "layout" in row else row["layer"]
        yield f"      {name}: {abs(figure(row)):.2f}{'; ' + because if because else ''}"


def _line(title: str, kind: str, met: bool, detail: str) -> str:
    return f"{'met    ' if met else 'NOT MET'}  {title}{', ' + kind if kind else ''}: {detail}"
