"""`addercost report SPEC|FILE… -o FILE`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
from click.core import ParameterSource

from addercost.cli.emit import check_output
from addercost.cli.options import (
    convention_option,
    cpu_option,
    energy_option,
    input_option,
    keep_first_last_option,
    parsed_arithmetics,
    quiet_option,
)
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.report.formats.report_format import ReportFormat


@click.command(cls=SpecCommand)
@spec_argument("specs", nargs=-1, required=True, metavar="SPEC|FILE...")
@input_option
@convention_option
@click.option(
    "--as",
    "arithmetics",
    default="mac,adder,xnor",
    show_default=True,
    metavar="LIST",
    help="Arithmetics beside the model as it is, from mac, adder, xnor, shift.",
)
@click.option(
    "--what-if",
    "what_ifs",
    multiple=True,
    metavar="CHANGE",
    help="One more network beside them: prune=0.5, lowrank=0.25, separable, int8, shift-add, or several "
    "joined by +.",
)
@keep_first_last_option
@cpu_option
@energy_option
@click.option("--title", help="The heading. Default: the names of the models.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice([item.value for item in ReportFormat]),
    help="Default: by the suffix of the file.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to write.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
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
    given = click.get_current_context().get_parameter_source
    wanted = Wanted.checked(convention, parsed_arithmetics(arithmetics), keep_first_last, cpus, energy)
    wanted = replace(wanted, what_ifs=tuple(dict.fromkeys(what_ifs)))
    found = gather(
        specs,
        wanted,
        inputs,
        convention_given=given("convention") is ParameterSource.COMMANDLINE,
        cpus_given=bool(cpus),
        quiet=quiet,
    )
    content = render_report(found.report(title), chosen)

    from addercost.results.files import write_file, write_stdout

    if output is None:
        write_stdout(content.decode("utf-8"))
    else:
        write_file(output, content, force)
