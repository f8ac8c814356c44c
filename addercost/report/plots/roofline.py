"""The predicted rate of every layer against its sites per byte, below the roofs of one core."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import dist
from typing import TYPE_CHECKING, Any

from addercost.report.plots.labels import lay_out, place_labels, positions
from addercost.report.plots.palette import INK, MARKERS, SERIES
from addercost.report.plots.style import (
    Drawn,
    PlotOptions,
    caption,
    in_style,
    new_figure,
    nothing_to_show,
    number_axis,
    si_axis,
)
from addercost.report.table import Column, Kind, Table
from addercost.results.report import Roofline, RooflinePoint
from addercost.text import printable, shortened
from addercost.units import si

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMED = 3
_MARK_POINTS = 4.5
_SAME_PLACE = 1.5
"""Marks that are nearer to each other than so many points are drawn one around the other."""
_AROUND = {"s": 1.45, "D": 1.45}
"""How many times as large a square is as a circle inside it, and a diamond as a square, with a gap between
them.
"""


@in_style
def draw(roofline: Roofline, options: PlotOptions, model: str = "") -> Drawn:
    """Draws rates in sites. A site is one pair of input and weight, which is the same work in every
    arithmetic, so roofs of several arithmetics can be compared.
    """
    figure = new_figure(options, 3.0 if options.width == "single" else 3.6)
    axes = figure.subplots()
    points = roofline.points
    title = f"roofline model (estimate), one core of {roofline.hardware}"
    remarks = [f"{roofline.left_out:,} smaller layers left out"] if roofline.left_out else []
    if not points:
        nothing_to_show(axes, "no layer has input-weight sites and a figure for all of its operations")
    else:
        _draw_roofs(axes, roofline)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.grid(which="major")
        peak = max([*roofline.peaks_sites_per_s.values(), *(p.sites_per_s for p in points)])
        axes.set_ylim(top=peak * 1.8)
        number_axis(axes.xaxis)
        si_axis(axes.yaxis)
        axes.set_xlabel("operational intensity (sites/byte)")
        axes.set_ylabel("predicted rate (sites/s)")
        # The legend is laid out before the positions of marks are compared.
        names = _names(roofline)
        for i, name in enumerate(names):
            own = [p for p in points if p.arithmetic == name]
            axes.plot([], [], **_mark(i), label=f"{name} ({len(own)} layers)")
        figure.legend(loc="outside upper left", ncols=2 if options.width == "single" else 4)
        # The caption is laid out as well, with both notes at first. Notes that turn out not to apply are
        # removed at the end.
        named, joined = f"named: {_NAMED} of the {_NAMED} slowest layers", "a larger mark: several layers"
        caption(figure, options, model, title, *remarks, named, joined)
        lay_out(axes)
        groups = {name: _joined(axes, [p for p in points if p.arithmetic == name]) for name in names}
        sizes = _around_others(axes, list(groups.values()))
        for i, (found, of_marks) in enumerate(zip(groups.values(), sizes, strict=True)):
            for group, size in zip(found, of_marks, strict=True):
                axes.plot(*_place(group), **{**_mark(i), "markersize": size})
        wanted, written = _name_heaviest(axes, groups, _along_memory(roofline))
        if written:
            some = f"{written} of " if written < wanted else ""
            remarks.append(f"named: {some}the {wanted} slowest layers")
        if any(len(group) > 1 for own in groups.values() for group in own):
            remarks.append(joined)
    caption(figure, options, model, title, *remarks)
    return Drawn(
        figure=figure,
        table=Table(
            columns=(
                Column("path", "layer", Kind.PATH),
                Column("arithmetic", "arithmetic"),
                Column("sites", "sites", Kind.COUNT),
                Column("sites_per_byte", "sites per\nbyte", Kind.NUMBER),
                Column("sites_per_s", "predicted", Kind.QUANTITY, "sites/s"),
                Column("bound", "bound by"),
            ),
            rows=[
                {
                    "path": p.path or "(model)",
                    "arithmetic": p.arithmetic,
                    "sites": p.sites,
                    "sites_per_byte": p.sites_per_byte,
                    "sites_per_s": p.sites_per_s,
                    "bound": p.bound,
                }
                for p in points
            ],
            title=f"{model + ': ' if model else ''}roofline of {roofline.hardware}, estimates",
            notes=(*roofline.assumptions, *remarks),
        ),
        bar="sites_per_s",
        alt=f"Predicted rate of {len(points)} layers against operational intensity on {roofline.hardware}.",
    )


def _names(roofline: Roofline) -> list[str]:
    return list(dict.fromkeys([*roofline.peaks_sites_per_s, *(p.arithmetic for p in roofline.points)]))


def _mark(i: int) -> dict[str, Any]:
    """Draws a hollow mark, so that a mark of another arithmetic at the same place can be seen through it."""
    return {
        "linestyle": "none",
        "marker": MARKERS[i % len(MARKERS)],
        "markersize": _MARK_POINTS,
        "markerfacecolor": "none",
        "markeredgecolor": SERIES[i % len(SERIES)][0],
        "markeredgewidth": 1.1,
    }


def _draw_roofs(axes: Axes, roofline: Roofline) -> None:
    points, bandwidth = roofline.points, roofline.bandwidth_bytes_per_s
    low = min(p.sites_per_byte for p in points) / 2
    peak = max([*roofline.peaks_sites_per_s.values(), *(p.sites_per_s for p in points)])
    high = max([max(p.sites_per_byte for p in points) * 2, 2 * peak / bandwidth])
    for i, name in enumerate(_names(roofline)):
        roof = roofline.peaks_sites_per_s.get(name)
        if roof is None:
            continue
        ridge = max(roof / bandwidth, low)
        axes.plot([ridge, max(high, ridge)], [roof, roof], color=SERIES[i % len(SERIES)][0], linewidth=1.0)
        axes.annotate(
            f"{name}: {si(roof)} sites/s",
            (high, roof),
            xytext=(-2, 4),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=6.5,
        )
    axes.plot(
        [low, peak / bandwidth],
        [low * bandwidth, peak],
        color=INK,
        linewidth=1.0,
        label=f"memory, {si(bandwidth, 'B/s')}",
    )


def _joined(axes: Axes, points: Sequence[RooflinePoint]) -> list[list[RooflinePoint]]:
    """Groups of layers whose marks would cover each other. Each group has its heaviest layer first."""
    groups = [[p] for p in sorted(points, key=lambda p: (p.sites_per_byte, p.sites_per_s, p.path))]
    while len(groups) > 1:
        places = positions(axes, [_place(group) for group in groups])
        near = [
            dist(a, b) < (_size(len(one)) + _size(len(other))) / 2 + 0.5
            for (a, one), (b, other) in pairwise(zip(places, groups, strict=True))
        ]
        if not any(near):
            break
        joined = [groups[0]]
        for group, is_near in zip(groups[1:], near, strict=True):
            if is_near:
                joined[-1] = sorted([*joined[-1], *group], key=_seconds, reverse=True)
            else:
                joined.append(group)
        groups = joined
    return groups


def _around_others(axes: Axes, arithmetics: Sequence[list[list[RooflinePoint]]]) -> list[list[float]]:
    """The sizes of marks: a mark at the place of an earlier arithmetic's mark is drawn around that mark."""
    drawn: list[tuple[tuple[float, float], float]] = []
    sizes: list[list[float]] = []
    for i, groups in enumerate(arithmetics):
        places = positions(axes, [_place(group) for group in groups])
        sizes.append([])
        for place, group in zip(places, groups, strict=True):
            inside = [size for other, size in drawn if dist(place, other) < _SAME_PLACE]
            size = _size(len(group))
            if inside:
                size = max(size, max(inside) * _AROUND.get(MARKERS[i % len(MARKERS)], 1.6))
            sizes[-1].append(size)
        drawn += zip(places, sizes[-1], strict=True)
    return sizes


def _place(group: Sequence[RooflinePoint]) -> tuple[float, float]:
    return group[0].sites_per_byte, group[0].sites_per_s


def _size(layers: int) -> float:
    return _MARK_POINTS * float(layers**0.25)


def _seconds(point: RooflinePoint) -> float:
    return point.sites / point.sites_per_s


def _along_memory(roofline: Roofline) -> list[tuple[float, float]]:
    """Points of the line of the memory bandwidth, which no name should cross."""
    low = min(p.sites_per_byte for p in roofline.points) / 2
    high = max(roofline.peaks_sites_per_s.values(), default=0.0) / roofline.bandwidth_bytes_per_s
    steps = [low * max(high / low, 1.0) ** (i / 20) for i in range(21)]
    return [(x, x * roofline.bandwidth_bytes_per_s) for x in steps]


def _name_heaviest(
    axes: Axes, groups: dict[str, list[list[RooflinePoint]]], lines: Sequence[tuple[float, float]]
) -> tuple[int, int]:
    """Names the slowest layers of the first arithmetic. Returns (how many were to be named, how many
    fitted).
    """
    first = next(iter(groups.values()), [])
    heavy = sorted((p for group in first for p in group), key=_seconds, reverse=True)[:_NAMED]
    labels, layers = [], {}
    for group in first:
        named = [shortened(printable(p.path or "(model)"), 22) for p in group if p in heavy]
        if named:
            text = ", ".join(named)
            labels.append((text, *_place(group)))
            layers[text] = len(named)
    marks = [*lines, *(_place(group) for own in groups.values() for group in own)]
    without = place_labels(axes, labels, marks, keep_texts=True)
    return len(heavy), sum(n for text, n in layers.items() if text not in without)
