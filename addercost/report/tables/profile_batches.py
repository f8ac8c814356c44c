"""The output of `addercost profile --batch 1,8`: the costliest blocks with bars, and times at every batch
size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from addercost.report.table import Column, Table
from addercost.report.tables.batches import batches_table
from addercost.report.tables.profile import MOST_BLOCKS, ProfileView, more_to_see, profile_table, usual_depth
from addercost.report.tables.profile_answer import batches_answer
from addercost.results.profile import Profile

_LEADING = ("share", "bar")
_SIDE_BY_SIDE = 3
"""How many batch sizes of one processor fit side by side into 80 columns, whatever the processor's name."""


def profile_batches_table(
    profiles: Mapping[int, Profile],
    how: str,
    view: ProfileView,
    caveats: Mapping[str, Sequence[str]] | None = None,
) -> Table:
    """The table. profiles: by batch size. The first one decides the shares, bars and the order of blocks.
    how: a sentence on how the traces were made. caveats: as for `profile_table`.
    """
    first = next(iter(profiles.values()))
    depth = view.depth if view.is_chosen else usual_depth(first)
    every_row = ProfileView(all_layers=True, depth=depth, explained=view.explained)
    tables = {size: profile_table(profile, every_row, (), caveats) for size, profile in profiles.items()}
    as_blocks = depth is not None and not view.is_chosen
    sort, top, rows_are = ("share", MOST_BLOCKS, "blocks") if as_blocks else (view.sort, view.top, "layers")
    merged = batches_table(tables, how, sort, top, rows_are, _LEADING)
    return replace(
        merged,
        columns=tuple(_columns(merged, several=len(first.costs) > 1, sizes=len(profiles))),
        answer=batches_answer(profiles),
        notes=(*merged.notes, *more_to_see(view, as_blocks)),
        brief=not view.explained,
    )


def _columns(merged: Table, several: bool, sizes: int) -> Iterator[Column]:
    """The columns: the share first, then times. Where the times may need several parts, other columns are
    left out first.
    """
    known = {column.name: column for column in merged.columns}
    times = [name for name in known if name.startswith("seconds@")]
    in_parts = bool(times) and (several or sizes > _SIDE_BY_SIDE)
    yield known.pop("path")
    yield replace(known.pop("share"), leads=True)
    yield known.pop("bar")
    for name in times:
        place = name.rpartition("@")[0] if sizes <= _SIDE_BY_SIDE else name
        yield replace(known.pop(name), group=place if in_parts else "")
    operations = [known.pop(name) for name in tuple(known) if name.startswith("operations@")]
    for column in (*operations, *known.values()):
        yield replace(column, optional=True, secondary=in_parts)
