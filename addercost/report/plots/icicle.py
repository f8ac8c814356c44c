"""Cost by module as an icicle: a box is as wide as the module's share, and the boxes of its parts are below
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from addercost.analysis.module_tree import ModuleNode, bases, module_tree
from addercost.errors import unknown_name
from addercost.report.plots.palette import INK, LAYER_KINDS, layer_kind
from addercost.report.plots.style import (
    Drawn,
    PlotOptions,
    caption,
    in_style,
    new_figure,
    nothing_to_show,
    percent_axis,
)
from addercost.report.table import Column, Kind, Table
from addercost.results.profile import Profile
from addercost.text import printable, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INNER = "#d9d9da"
_DEEPEST = 8
_WIDEST = 300
_LEAST_SHARE = 0.0005
_CHARACTER_INCHES = 0.062
_ROW_INCHES = 0.3
_KEY_INCHES = 0.13
_MOST_NUMBERS = 24
_NUMBER_INCHES = 0.085
"""The width in inches of the narrowest box into which a number fits."""


@in_style
def draw(profile: Profile, options: PlotOptions) -> Drawn:
    """Draws the module tree by cycles on the first processor, or by the quantity that `options.basis`
    names.
    """
    known = bases(profile)
    basis = options.basis or known[0]
    if basis not in known:
        raise unknown_name("basis", basis, known)
    root = module_tree(profile, _WIDEST, basis)
    whole = root.values[basis]
    boxes = _boxes(root, basis, whole) if whole else []
    depth = max((level for _, level, _, _ in boxes), default=0) + 1
    key = _numbered(boxes, options)
    columns = 1 if options.width == "single" else 3
    lines = -(-len(key) // columns)
    figure = new_figure(options, 0.95 + _ROW_INCHES * max(depth, 3) + _KEY_INCHES * lines)
    plots = figure.subplots(2 if key else 1, 1, squeeze=False, height_ratios=_heights(depth, lines))
    axes = plots[0][0]
    if key:
        _draw_key(plots[1][0], key, columns, options)
    if not boxes:
        nothing_to_show(axes, f"nothing to show by {basis}")
    else:
        _draw_boxes(axes, boxes, {id(node): i for i, (node, _) in enumerate(key, 1)}, options)
        axes.set_xlim(0, 1)
        axes.set_ylim(depth, 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        percent_axis(axes.xaxis)
        axes.set_xlabel(f"share of {_words(basis)}")
        _legend(figure, boxes, options)
    counts = profile.counts
    remarks = ["cycles are estimates"] if basis.startswith("cycles@") else []
    widest = _widest_nameless(boxes, key, options)
    if key and widest:
        narrower = widest < min(share for _, share in key)
        remarks.append(f"{'narrower' if narrower else 'further'} layers have no number")
    caption(figure, options, f"{counts.model}, convention {counts.convention.name}", *remarks)
    return Drawn(
        figure=figure,
        table=Table(
            columns=(
                Column("path", "module", Kind.PATH),
                Column("depth", "depth", Kind.COUNT),
                Column("value", _words(basis), Kind.COUNT),
                Column("share", "share", Kind.SHARE),
            ),
            rows=[
                {
                    "path": node.path or "(model)",
                    "depth": level,
                    "value": node.values[basis],
                    "share": node.values[basis] / whole,
                }
                for node, level, _, _ in boxes
            ],
            title=f"{counts.model}: {_words(basis)} by module",
        ),
        bar="share",
        alt=f"Icicle chart of {_words(basis)} by module of {counts.model}.",
    )


def _words(basis: str) -> str:
    return basis.replace("cycles@", "estimated cycles on ").replace(":", ", ")


def _boxes(root: ModuleNode, basis: str, whole: float) -> list[tuple[ModuleNode, int, float, float]]:
    """(node, depth, left edge, width) of each box, the last two as shares of the figure. Boxes that are too
    thin to see are left out.
    """
    boxes: list[tuple[ModuleNode, int, float, float]] = []
    stack = [(root, 0, 0.0)]
    while stack:
        node, depth, left = stack.pop()
        width = node.values[basis] / whole
        if width < _LEAST_SHARE or depth > _DEEPEST:
            continue
        boxes.append((node, depth, left, width))
        for child in node.children:
            stack.append((child, depth + 1, left))
            left += child.values[basis] / whole
    return sorted(boxes, key=lambda box: (box[1], box[2]))


def _heights(depth: int, lines: int) -> list[float]:
    boxes = _ROW_INCHES * max(depth, 3) + 0.45
    return [boxes, _KEY_INCHES * lines] if lines else [boxes]


def _room(width: float, options: PlotOptions) -> int:
    """How many characters fit into a box with that share of the figure's width."""
    return int(width * options.inches * 0.97 / _CHARACTER_INCHES)


def _full_name(node: ModuleNode) -> str:
    return node.path or node.name


def _numbered(
    boxes: list[tuple[ModuleNode, int, float, float]], options: PlotOptions
) -> list[tuple[ModuleNode, float]]:
    """The layers that are too narrow for a name and get a number, with their shares."""
    narrow = [
        (node, width)
        for node, _, _, width in boxes
        if not node.children
        and width * options.inches >= _NUMBER_INCHES
        and len(_full_name(node)) > _room(width, options)
    ]
    kept = sorted(narrow, key=lambda item: -item[1])[:_MOST_NUMBERS]
    return [item for item in narrow if item in kept]


def _widest_nameless(
    boxes: list[tuple[ModuleNode, int, float, float]],
    key: list[tuple[ModuleNode, float]],
    options: PlotOptions,
) -> float:
    """The largest share of a layer that shows neither its path nor a number; 0 where each shows one of
    them.
    """
    numbered = {id(node) for node, _ in key}
    return max(
        (
            width
            for node, _, _, width in boxes
            if not node.children
            and id(node) not in numbered
            and len(_full_name(node)) > _room(width, options)
        ),
        default=0.0,
    )


def _draw_key(axes: Axes, key: list[tuple[ModuleNode, float]], columns: int, options: PlotOptions) -> None:
    """Draws the key: numbers with their paths and shares, column by column."""
    axes.set_axis_off()
    lines = -(-len(key) // columns)
    room = int(options.inches / columns / _CHARACTER_INCHES) - 12
    for i, (node, share) in enumerate(key):
        axes.text(
            (i // lines) / columns,
            1 - (i % lines + 0.5) / lines,
            f"{i + 1}  {shortened(printable(_full_name(node)), room)}, {100 * share:.1f} %",
            fontsize=6,
            va="center",
            transform=axes.transAxes,
        )


def _draw_boxes(
    axes: Axes,
    boxes: list[tuple[ModuleNode, int, float, float]],
    numbers: Mapping[int, int],
    options: PlotOptions,
) -> None:
    from matplotlib.patches import Rectangle

    for node, depth, left, width in boxes:
        kind = _kind(node)
        colour = LAYER_KINDS[kind] if kind else _INNER
        axes.add_patch(
            Rectangle((left, depth + 0.04), width, 0.92, facecolor=colour, edgecolor="white", linewidth=0.4)
        )
        room = _room(width, options)
        # A layer shows its full path or a number of the key. A module's name may also be shortened.
        name = printable(node.name if node.children else _full_name(node))
        if id(node) in numbers:
            name = str(numbers[id(node)])
        elif len(name) > room:
            name = shortened(name, room) if node.children and room >= 4 else ""
        if name:
            # White text on dark fills and near-black text on light ones: both have a contrast above 4.5.
            dark = kind in ("convolution",)
            axes.text(
                left + width / 2,
                depth + 0.5,
                name,
                ha="center",
                va="center",
                fontsize=6,
                color="white" if dark else "#000000",
                clip_on=True,
            )


def _kind(node: ModuleNode) -> str:
    """The layer kind of a leaf; "" for a module with parts. The gap beside the boxes of its parts is its own
    work.
    """
    return layer_kind(node.op) if node.op and not node.children else ""


def _legend(figure: object, boxes: list[tuple[ModuleNode, int, float, float]], options: PlotOptions) -> None:
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    assert isinstance(figure, Figure)
    shown = {_kind(node) for node, *_ in boxes}
    handles = [
        Patch(facecolor=colour, edgecolor=INK, linewidth=0.3, label=kind)
        for kind, colour in LAYER_KINDS.items()
        if kind in shown
    ]
    if "" in shown:
        handles.append(Patch(facecolor=_INNER, edgecolor=INK, linewidth=0.3, label="module"))
    figure.legend(handles=handles, loc="outside upper left", ncols=3 if options.width == "single" else 7)
