"""`addercost report SPEC|FILE… -o FILE`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.analysis.subjects import CPUS, ENERGY_TABLES
from addercost.arithmetic import Arithmetic
from addercost.cli.accelerators import accelerator_options
from addercost.cli.emit import check_output
from addercost.cli.estimates import Estimates, always, cpus_were_named, estimate_options
from addercost.cli.gather import gather, wanted_by
from addercost.cli.options import (
    LATEX_WIDTH,
    arithmetics_option,
    convention_option,
    debug_option,
    force_option,
    input_option,
    keep_first_last_option,
    one_of,
    output_option,
    quiet_option,
    was_given,
    what_ifs_option,
    width_option,
)
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.errors import ArgumentError
from addercost.report.formats.report_format import ReportFormat

if TYPE_CHECKING:
    from addercost.analysis.accelerators import WantedAccelerators

_TABLES = ("comparison", "layers", "rank")


@click.command(cls=SpecCommand)
@spec_argument("specs", nargs=-1, required=True, metavar="SPEC|FILE...")
@input_option
@convention_option
@arithmetics_option(
    f"Arithmetics beside the model as it is, from {', '.join(Arithmetic)}.",
    "mac,adder,xnor",
    "Beside the model as it is.",
)
@what_ifs_option("One more network beside them")
@keep_first_last_option
@estimate_options(always(*CPUS), ENERGY_TABLES)
@accelerator_options
@click.option("--title", help="The heading. Default: the names of the models.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice([item.value for item in ReportFormat]),
    metavar="FORMAT",
    help=f"{one_of(ReportFormat)}. Default: by the suffix of the file.",
)
@click.option(
    "--table",
    "tables",
    multiple=True,
    type=click.Choice(_TABLES),
    metavar="TABLE",
    help=f"LaTeX: this table alone: {one_of(_TABLES)}; repeatable.",
)
@width_option(LATEX_WIDTH)
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
    estimates: Estimates,
    on_accelerators: WantedAccelerators,
    title: str | None,
    format_name: str | None,
    tables: tuple[str, ...],
    width: str,
    output: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Write one self-contained page, or tables for a paper, about models and what was measured of them.

    Each SPEC is a model as for `profile`. Each FILE (.json, .html) is a trace, a profile, a report or
    measurements that were saved before. The page needs no network, and works without scripts.
    """
    from addercost.report.formats.report_format import render_report, report_format

    check_output(output, force)
    chosen = report_format(format_name, output)
    if chosen is not ReportFormat.LATEX and (tables or was_given("width")):
        raise ArgumentError("--table and --width are of LaTeX", "give -o FILE.tex, or --format latex")
    on_accelerators.check(estimates.hardware_path)
    wanted = wanted_by(estimates, convention, arithmetics, keep_first_last, what_ifs)
    wanted = replace(wanted, accelerators=on_accelerators)
    found = gather(
        specs,
        wanted,
        inputs,
        convention_given=was_given("convention"),
        cpus_given=cpus_were_named(),
        quiet=quiet,
    )
    content = render_report(found.report(title), chosen, tables, width)

    from addercost.results.files import write_file
    from addercost.results.stdout import write_stdout

    if output is None:
        write_stdout(content.decode("utf-8"))
    else:
        write_file(output, content, force)
