"""A profile, or profiles of several batch sizes, in a chosen format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from addercost.analysis.alternatives import OtherArithmetic
from addercost.report.formats.table_format import TableFormat, render
from addercost.report.tables.batches import batches_table
from addercost.report.tables.layers import layer_table
from addercost.report.tables.profile import USUAL_VIEW, ProfileView, profile_table
from addercost.report.tables.profile_batches import profile_batches_table
from addercost.results.profile import Profile


def render_profile(
    profile: Profile,
    output: TableFormat,
    view: ProfileView = USUAL_VIEW,
    others: Sequence[OtherArithmetic] = (),
    caveats: Mapping[str, Sequence[str]] | None = None,
    width: int | None = None,
    styled: bool = False,
    page: str = "double",
) -> str:
    """The profile as text. A terminal shows the answer and the table. Files have every layer, and JSON is the
    whole document.

    others, caveats: as for `profile_table`. page: as for `render`.
    """
    if output is TableFormat.JSON:
        return profile.to_json()
    if output is TableFormat.TABLE:
        return render(profile_table(profile, view, others, caveats), output, width, styled)
    return render(layer_table(profile, view.depth, view.sort, view.top), output, page=page)


def render_batches(
    profiles: Mapping[int, Profile],
    how: str,
    output: TableFormat,
    view: ProfileView = USUAL_VIEW,
    caveats: Mapping[str, Sequence[str]] | None = None,
    width: int | None = None,
    styled: bool = False,
    page: str = "double",
) -> str:
    """Profiles of several batch sizes as one table, even in JSON. how: a sentence on how their traces were
    made.
    """
    if output is not TableFormat.TABLE:
        tables = {size: layer_table(profile, view.depth) for size, profile in profiles.items()}
        return render(batches_table(tables, how, view.sort, view.top), output, page=page)
    return render(profile_batches_table(profiles, how, view, caveats), output, width, styled)
