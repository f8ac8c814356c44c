"""`addercost hardware list | show | check | diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from addercost.cli.completion import complete_table
from addercost.cli.emit import check_output, emit_table
from addercost.cli.help import HelpGroup
from addercost.cli.options import hardware_path_option, output_options
from addercost.hardware.loader import FOLDERS


@click.group(cls=HelpGroup)
def hardware() -> None:
    """The processors and energy tables that estimates use: each figure with its source.

    A table of your own is one TOML file; `hardware show` on a built-in one is the example to follow.
    """


@hardware.command("list")
@click.option("--kind", type=click.Choice(list(FOLDERS)), help="Only tables of one kind.")
@hardware_path_option
@output_options
def list_command(
    kind: str | None, hardware_path: Path | None, table_format: str, output: Path | None, force: bool
) -> None:
    """Print every table that can be named."""
    from addercost.hardware import Device, list_hardware, load_file
    from addercost.report.tables.hardware import device_table, list_table

    check_output(output, force)
    files = [(file, load_file(file.path)) for file in list_hardware(hardware_path, kind)]
    devices = [(file, table) for file, table in files if isinstance(table, Device)]
    emit_table(device_table(devices) if kind == "device" else list_table(files), table_format, output, force)


@hardware.command()
@click.argument("name", shell_complete=complete_table)
@click.option(
    "--sites", is_flag=True, help="The instructions chosen for one step of each arithmetic instead."
)
@hardware_path_option
@output_options
def show(
    name: str, sites: bool, hardware_path: Path | None, table_format: str, output: Path | None, force: bool
) -> None:
    """Print the figures of one table, with units, quality and sources. NAME can be a .toml file."""
    from addercost.errors import ArgumentError
    from addercost.hardware import Cpu
    from addercost.report.tables.hardware import figures_table
    from addercost.report.tables.inner_loops import inner_loop_table

    check_output(output, force)
    table = _load(name, hardware_path)
    if not sites:
        emit_table(figures_table(table), table_format, output, force)
    elif isinstance(table, Cpu):
        emit_table(inner_loop_table(table), table_format, output, force)
    else:
        raise ArgumentError(f"{name} is a {table.kind}: --sites needs a CPU", "leave --sites out")


@hardware.command()
@click.argument("files", nargs=-1, metavar="[NAME|FILE.toml]...")
@click.option("--strict", is_flag=True, help="Exit code 1 if there is a warning.")
@hardware_path_option
@output_options
def check(
    files: tuple[str, ...],
    strict: bool,
    hardware_path: Path | None,
    table_format: str,
    output: Path | None,
    force: bool,
) -> None:
    """Validate tables: those given, or all that can be named. Exit code 6 if one is malformed.

    CPU tables are also compared with what is known of the processor of that name: multiply-adds, additions
    and bytes a cycle, latencies, divisions. A figure that differs by more than 10 %, is missing, or is
    impossible is a warning. Of the tables given it is also said what each missing figure will cost later.
    """
    from addercost.cost.table_check import warnings_of
    from addercost.cost.table_gaps import gaps
    from addercost.errors import CheckFailedError, DataError
    from addercost.hardware import (
        Accelerator,
        Cpu,
        Device,
        EnergyTable,
        list_hardware,
        load_cpu,
        load_energy,
        load_file,
    )
    from addercost.hardware.peaks import known_peaks
    from addercost.report.table import Column, Kind, Table

    check_output(output, force)
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    lacking: list[str] = []
    for name in files or tuple(str(file.path) for file in list_hardware(hardware_path)):
        try:
            table = _load(name, hardware_path) if files else load_file(name)
        except DataError as error:
            shown = Path(name).name
            rows.append({"kind": "", "name": shown, "result": "malformed", "problem": str(error)})
            continue
        warnings = warnings_of(table, known_peaks()) if isinstance(table, Cpu) else []
        known = isinstance(table, Cpu) and table.name in known_peaks()
        notes += [f"{table.name}: {warning}" for warning in warnings]
        if files:
            names: EnergyTable | Cpu | None = None
            if isinstance(table, Accelerator):
                names = load_energy(table.energy_table, hardware_path)
            elif isinstance(table, Device):
                names = load_cpu(table.core, hardware_path)
            lacking += [f"{table.name}: {sentence}" for sentence in gaps(table, names)]
        rows.append(
            {
                "kind": table.kind,
                "name": table.name,
                "result": "valid",
                "compared": len(known_peaks()[table.name].figures) if known else None,
                "warnings": len(warnings) if known or warnings else None,
                "problem": "; ".join(warnings),
            }
        )
    columns = (
        Column("kind", "kind"),
        Column("name", "name"),
        Column("result", "result"),
        Column("compared", "known\nfigures", Kind.COUNT, optional=True),
        Column("warnings", "warnings", Kind.COUNT, optional=True),
        Column("problem", "problem", optional=True),
    )
    emit_table(Table(columns, rows, notes=(*notes, *lacking)), table_format, output, force)
    malformed = [row for row in rows if row["result"] == "malformed"]
    if malformed:
        raise DataError(f"{len(malformed)} of {len(rows)} tables malformed: {malformed[0]['problem']}")
    if strict and notes:
        raise CheckFailedError(f"{len(notes)} warnings, the first for {notes[0]}")


@hardware.command()
@click.argument("a", shell_complete=complete_table)
@click.argument("b", shell_complete=complete_table)
@hardware_path_option
@output_options
def diff(
    a: str, b: str, hardware_path: Path | None, table_format: str, output: Path | None, force: bool
) -> None:
    """Print the figures in which two tables differ, with B over A."""
    from addercost.report.tables.hardware import diff_table

    check_output(output, force)
    emit_table(diff_table(_load(a, hardware_path), _load(b, hardware_path)), table_format, output, force)


def _load(name: str, hardware_path: Path | None) -> Any:
    from addercost.hardware import load_file, load_hardware

    return load_file(name) if name.endswith(".toml") else load_hardware(name, hardware_path)
