"""`addercost diff A B`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.cli.emit import check_output, emit
from addercost.cli.options import (
    chosen_cpus,
    convention_option,
    cpu_option,
    input_option,
    parsed_inputs,
    quiet_option,
)
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument

if TYPE_CHECKING:
    from addercost.analysis.profile_diff import ProfileDiff
    from addercost.results.profile import Profile


class DiffFormat(StrEnum):
    TABLE = "table"
    MARKDOWN = "markdown"
    HTML = "html"
    CSV = "csv"
    JSON = "json"


@click.command(cls=SpecCommand)
@spec_argument("before")
@spec_argument("after")
@input_option
@convention_option
@cpu_option
@click.option(
    "--format",
    "format_name",
    type=click.Choice([item.value for item in DiffFormat]),
    default=DiffFormat.TABLE.value,
    help="csv and json hold the layers.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to a file.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@quiet_option
def diff(
    before: str,
    after: str,
    inputs: tuple[str, ...],
    convention: str,
    cpus: tuple[str, ...],
    format_name: str,
    output: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Print what differs between two profiles: layers added, removed, changed, and the ratios of the totals.

    Each is a saved profile or report, or a model as for `profile`, which is then counted now.
    """
    from addercost.analysis.profile_diff import diff_profiles

    check_output(output, force)
    one, two = (_profile(spec, inputs, convention, cpus, quiet) for spec in (before, after))
    found = diff_profiles(one, two)
    chosen = DiffFormat(format_name)
    emit(lambda width, styled: _text(found, chosen, width, styled), output, force)


def _profile(
    spec: str, inputs: tuple[str, ...], convention: str, cpus: tuple[str, ...], quiet: bool
) -> Profile:
    from addercost.sources.kind import ProfileRequest
    from addercost.sources.registry import kind_of

    load_profile = kind_of(spec).load_profile
    if load_profile is not None:
        return load_profile(spec, ProfileRequest(cpus=chosen_cpus(cpus) if cpus else None))
    from addercost.api import profile, trace_spec

    with progress(f"tracing {spec}", quiet):
        trace = trace_spec(spec, parsed_inputs(inputs))
        return profile(trace, convention=convention, cpus=chosen_cpus(cpus))


def _text(found: ProfileDiff, chosen: DiffFormat, width: int | None, styled: bool) -> str:
    from addercost.report.formats.table_format import TableFormat, render
    from addercost.report.tables.profile_diff import diff_tables

    if chosen is DiffFormat.HTML:
        from addercost.report.html.diff_page import to_diff_page

        return to_diff_page(found)
    totals, layers = diff_tables(found)
    output = TableFormat(chosen.value)
    if chosen in (DiffFormat.CSV, DiffFormat.JSON):
        return render(layers, output)
    return "\n".join(render(table, output, width, styled) for table in (totals, layers))
