"""The output of `addercost profile`: the answer in a sentence, the costliest blocks with bars, and brief
notes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from addercost.analysis.alternatives import OtherArithmetic
from addercost.analysis.layer_rows import (
    basis_of,
    block_depth,
    folded,
    labelled_costs,
    layer_rows,
)
from addercost.arithmetic import OpClass
from addercost.report.table import Column, Kind, Table
from addercost.report.tables.layers import layer_table
from addercost.report.tables.layers_cost_first import GLANCE
from addercost.report.tables.profile_answer import answer
from addercost.report.tables.profile_notes import brief_notes, caveat_lines, inputs_text
from addercost.results.profile import Profile

MOST_BLOCKS = 10
_BAR = 12
_EIGHTHS = "▏▎▍▌▋▊▉"


@dataclass(frozen=True, slots=True)
class ProfileView:
    """Which parts of a profile are shown. all_layers: every layer in its order; else a large network shows
    its costliest blocks. depth, sort, top: as for `layer_table`; any of them shows layers as well. explained:
    full notes. on_command_line: sentences may name options. no_processor_chosen: the user named no processor,
    not even `none`.
    """

    all_layers: bool = False
    depth: int | None = None
    sort: str | None = None
    top: int | None = None
    explained: bool = False
    on_command_line: bool = False
    no_processor_chosen: bool = False

    @property
    def is_chosen(self) -> bool:
        return self.all_layers or self.depth is not None or bool(self.sort) or self.top is not None


USUAL_VIEW = ProfileView()


def profile_table(
    profile: Profile,
    view: ProfileView = USUAL_VIEW,
    others: Sequence[OtherArithmetic] = (),
    caveats: Mapping[str, Sequence[str]] | None = None,
) -> Table:
    """The table with its answer. others: profiles of the same network in other arithmetics. caveats: doubts
    about hardware tables, by the tables' names. Raises ArgumentError for an unknown column.
    """
    depth = usual_depth(profile)
    as_blocks = depth is not None and not view.is_chosen
    if as_blocks:
        table = layer_table(profile, depth, "share", MOST_BLOCKS, rows_are="blocks")
    else:
        table = layer_table(profile, view.depth, view.sort, view.top)
    largest = max((row["share"] for row in table.rows if not _is_rest(row)), default=0.0)
    notes = [*_explained(table, caveats or {})] if view.explained else [*brief_notes(profile, caveats or {})]
    notes += more_to_see(view, as_blocks)
    return replace(
        table,
        columns=tuple(_columns(profile, table)),
        rows=[_cells(profile, row, largest) for row in table.rows],
        total=_cells(profile, table.total, 0),
        answer=answer(profile, folded(layer_rows(profile), depth), others, view.no_processor_chosen),
        title=inputs_text(profile),
        notes=tuple(notes),
        brief=not view.explained,
    )


def more_to_see(view: ProfileView, as_blocks: bool) -> Iterator[str]:
    """A sentence with the options that show what the table leaves out."""
    if view.on_command_line and not view.explained:
        yield f"{'--all lists every layer; ' if as_blocks else ''}--explain writes the notes out"


def usual_depth(profile: Profile) -> int | None:
    """The depth to which layers are summed where the user names none; None shows every layer."""
    rows = layer_rows(profile)
    return block_depth(rows, basis_of(profile)) if len(rows) > GLANCE else None


def _explained(table: Table, caveats: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield from table.notes
    yield from caveat_lines(caveats)


def _is_rest(row: Mapping[str, Any]) -> bool:
    """Whether this is the row that sums the layers or blocks without own rows."""
    return not row["type"] and row["output_shape"] is None


_LAST = ("calls", "output_shape", "parameters", "type")


def _columns(profile: Profile, table: Table) -> Iterator[Column]:
    """The columns: the share with its bar first, then times. Those that a narrow terminal leaves out come
    last.
    """
    known = {column.name: column for column in table.columns if column.name not in ("output_shapes", "nodes")}
    yield from (known.pop("path"), known.pop("share"), Column("bar", "", optional=True))
    timed = {label: cost for label, cost in labelled_costs(profile).items() if cost.seconds is not None}
    for label in timed:
        title = f"time on\n{label}".replace(":", "\n") if len(profile.costs) > 1 else "time"
        yield known.pop(f"seconds@{label}", Column(f"seconds@{label}", title, Kind.QUANTITY, "s"))
    cycles = [replace(known.pop(f"cycles@{label}"), optional=True) for label in timed]
    if len(cycles) == 1:
        yield cycles.pop()
    last = [known.pop(name) for name in _LAST if name in known]
    rare = [known.pop(name) for name in tuple(known) if known[name].optional or known[name].secondary]
    # With several estimates, a narrow terminal has no room for operations.
    crowded = len(profile.estimates) + len(profile.accelerators) > 1
    yield from (replace(c, optional=crowded and c.name in (OpClass.MUL, OpClass.ADD)) for c in known.values())
    yield from (replace(column, optional=True, secondary=False) for column in last)
    yield from (*cycles, *rare)


def _cells(profile: Profile, row: Mapping[str, Any], largest: float) -> dict[str, Any]:
    cells = dict(row)
    cells["bar"] = "" if _is_rest(row) or not largest else bar(row["share"] / largest)
    shapes = (row.get("output_shapes") or "").split(", ")
    if len(shapes) > 1:
        cells["output_shape"] = f"{shapes[0]} … {shapes[-1]}" if len(shapes) > 2 else ", ".join(shapes)
    for label, cost in labelled_costs(profile).items():
        if rate := cost.seconds_per_cycle:
            cells.setdefault(f"seconds@{label}", row[f"cycles@{label}"] * rate)
    return cells


def bar(share: float) -> str:
    """The bar of a share, drawn in eighths of a character. A share of 1 takes the whole width."""
    whole, eighths = divmod(round(share * _BAR * 8), 8)
    return "█" * whole + (_EIGHTHS[eighths - 1] if eighths else "")
