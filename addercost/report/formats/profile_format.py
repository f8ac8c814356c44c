"""A profile, or those of several batch sizes, in the format asked for."""

from __future__ import annotations

from collections.abc import Mapping

from addercost.report.formats.table_format import TableFormat, render
from addercost.report.tables.batches import batches_table
from addercost.report.tables.layers import layer_table
from addercost.results.profile import Profile


def render_profile(
    profile: Profile,
    output: TableFormat,
    width: int | None = None,
    styled: bool = False,
    depth: int | None = None,
    sort: str | None = None,
    top: int | None = None,
) -> str:
    """The layer table in any table format; JSON is the whole document, with every layer."""
    table = layer_table(profile, depth, sort, top)
    return profile.to_json() if output is TableFormat.JSON else render(table, output, width, styled)


def render_profiles(
    profiles: Mapping[int, Profile],
    how: str,
    output: TableFormat,
    width: int | None = None,
    styled: bool = False,
    depth: int | None = None,
    sort: str | None = None,
    top: int | None = None,
) -> str:
    """One profile as above; those of several batch sizes as one table in every format, JSON too.

    how: a sentence on how the traces of several sizes were made.
    """
    if len(profiles) == 1:
        (profile,) = profiles.values()
        return render_profile(profile, output, width, styled, depth, sort, top)
    tables = {size: layer_table(profile, depth) for size, profile in profiles.items()}
    return render(batches_table(tables, how, sort, top), output, width, styled)
