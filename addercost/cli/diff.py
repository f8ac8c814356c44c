"""`addercost diff A B`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addercost.cli.accelerators import accelerator_options
from addercost.cli.emit import check_output, emit
from addercost.cli.estimates import Estimates, cpus_were_named, estimate_options, refuse_changes
from addercost.cli.options import (
    arithmetic_option,
    convention_option,
    debug_option,
    force_option,
    format_option_with,
    input_option,
    keep_first_last_option,
    latex_width,
    output_option,
    parsed_inputs,
    quiet_option,
    what_if_option,
)
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument

if TYPE_CHECKING:
    from addercost.analysis.accelerators import WantedAccelerators
    from addercost.analysis.profile_diff import ProfileDiff
    from addercost.results.profile import Profile


_HTML = "html"


@click.command(cls=SpecCommand)
@spec_argument("before")
@spec_argument("after")
@input_option
@convention_option
@arithmetic_option("Every convolution and linear layer of both in this arithmetic:")
@what_if_option
@keep_first_last_option
@estimate_options()
@accelerator_options
@format_option_with([_HTML], "csv and json hold the layers.")
@output_option("Write to a file.")
@force_option()
@debug_option
@quiet_option
def diff(
    before: str,
    after: str,
    inputs: tuple[str, ...],
    convention: str,
    arithmetic: str | None,
    what_if: tuple[str, ...],
    keep_first_last: bool,
    estimates: Estimates,
    on_accelerators: WantedAccelerators,
    table_format: str,
    output: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Print what differs between two profiles: layers added, removed, changed, and the ratios of the totals.

    Each is a saved profile or report, or a model as for `profile`, which is then counted now.
    """
    from addercost.analysis.profile_diff import diff_profiles

    check_output(output, force)
    estimates.check()
    on_accelerators.check(estimates.hardware_path)
    counting = {
        "convention": convention,
        "arithmetic": arithmetic,
        "what_if": what_if,
        "keep_first_last": keep_first_last,
        "accelerators": on_accelerators,
    }
    one, two = (_profile(spec, inputs, counting, estimates, quiet) for spec in (before, after))
    found = diff_profiles(one, two)
    emit(lambda width, styled: _text(found, table_format, width, styled), output, force)


def _profile(
    spec: str, inputs: tuple[str, ...], counting: dict[str, Any], estimates: Estimates, quiet: bool
) -> Profile:
    from addercost.sources.kind import ProfileRequest
    from addercost.sources.registry import kind_of

    load_profile = kind_of(spec).load_profile
    if load_profile is not None:
        refuse_changes(spec)
        named = estimates.cpus if cpus_were_named() else None
        return load_profile(
            spec,
            ProfileRequest(
                arithmetic=counting["arithmetic"],
                cpus=named,
                cost_models=estimates.cost_models,
                hardware_path=estimates.hardware_path,
            ),
        )
    from addercost.api import profile, trace_spec

    with progress(f"tracing {spec}", quiet):
        trace = trace_spec(spec, parsed_inputs(inputs))
        return profile(trace, **counting, **estimates.arguments())


def _text(found: ProfileDiff, table_format: str, width: int | None, styled: bool) -> str:
    from addercost.report.formats.table_format import TableFormat, render
    from addercost.report.tables.profile_diff import diff_tables

    if table_format == _HTML:
        from addercost.report.html.diff_page import to_diff_page

        return to_diff_page(found)
    totals, layers = diff_tables(found)
    chosen = TableFormat(table_format)
    if chosen in (TableFormat.CSV, TableFormat.JSON):
        return render(layers, chosen)
    return "\n".join(render(table, chosen, width, styled, latex_width()) for table in (totals, layers))
