"""`addercost report SPEC|FILE… -o FILE`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from addercost.arithmetic import Arithmetic
from addercost.cli.emit import check_output
from addercost.cli.options import (
    arithmetics_option,
    convention_option,
    debug_option,
    energy_option,
    force_option,
    input_option,
    keep_first_last_option,
    output_option,
    parsed_arithmetics,
    quiet_option,
    was_given,
    what_ifs_option,
)
from addercost.cli.processors import cpu_option
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.report.formats.report_format import ReportFormat


@click.command(cls=SpecCommand)
@spec_argument("specs", nargs=-1, required=True, metavar="SPEC|FILE...")
@input_option
@convention_option
@arithmetics_option(f"Arithmetics beside the model as it is, from {', '.join(Arithmetic)}.", "mac,adder,xnor")
@what_ifs_option("One more network beside them")
@keep_first_last_option
@cpu_option
@energy_option
@click.option(
    "--cost-model",
    "cost_models",
    multiple=True,
    metavar="NAME",
    help="Estimate by this one, layers by the first; repeatable. Default: all of one core.",
)
@click.option("--title", help="The heading. Default: the names of the models.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice([item.value for item in ReportFormat]),
    help="Default: by the suffix of the file.",
)
@output_option("The file to write.")
@force_option()
@debug_option
@quiet_option
def report(
    specs: tuple[str, ...],
    inputs: tuple[str, ...],
    convention: str,
    arithmetics: str,
    what_ifs: tuple[str, ...],
    keep_first_last: bool,
    cpus: tuple[str, ...],
    energy: tuple[str, ...],
    cost_models: tuple[str, ...],
    title: str | None,
    format_name: str | None,
    output: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Write one self-contained page, or tables for a paper, about models and what was measured of them.

    Each SPEC is a model as for `profile`. Each FILE (.json, .html) is a trace, a profile, a report or
    measurements that were saved before. The page needs no network, and works without scripts.
    """
    from addercost.analysis.subjects import Wanted
    from addercost.cli.gather import gather
    from addercost.report.formats.report_format import render_report, report_format

    check_output(output, force)
    chosen = report_format(format_name, output)
    wanted = Wanted.checked(
        convention, parsed_arithmetics(arithmetics), keep_first_last, cpus, energy, cost_models
    )
    wanted = replace(wanted, what_ifs=tuple(dict.fromkeys(what_ifs)))
    found = gather(
        specs,
        wanted,
        inputs,
        convention_given=was_given("convention"),
        cpus_given=bool(cpus or cost_models),
        quiet=quiet,
    )
    content = render_report(found.report(title), chosen)

    from addercost.results.files import write_file
    from addercost.results.stdout import write_stdout

    if output is None:
        write_stdout(content.decode("utf-8"))
    else:
        write_file(output, content, force)
