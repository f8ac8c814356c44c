"""`addercost doctor`."""

from __future__ import annotations

from pathlib import Path

import click

from addercost.cli.emit import check_output, emit_table
from addercost.cli.help import HelpCommand
from addercost.cli.options import output_options
from addercost.errors import CheckFailedError


@click.command(cls=HelpCommand)
@click.option("--strict", is_flag=True, help="Exit with 1 if something needed is missing or broken.")
@click.option("--deep", is_flag=True, help="Import every optional package, to find broken ones: slower.")
@output_options
def doctor(strict: bool, deep: bool, table_format: str, output: Path | None, force: bool) -> None:
    """Say what this machine offers, what is missing, and the command that would mend it.

    Processor and its table, clock, packages, kernels, GPU and driver, compilers.
    """
    from addercost.measure.doctor.examine import examine
    from addercost.report.tables.doctor import doctor_table

    check_output(output, force)
    findings = examine(deep)
    emit_table(doctor_table(findings), table_format, output, force)
    failing = [finding for finding in findings if finding.fails]
    if strict and failing:
        first = failing[0]
        raise CheckFailedError(
            f"--strict: {len(failing)} needed are missing or broken, first {first.part}, {first.thing}",
            first.mend,
        )
