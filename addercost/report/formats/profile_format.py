"""A profile in the format asked for."""

from __future__ import annotations

from addercost.report.formats.table_format import TableFormat, render
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
