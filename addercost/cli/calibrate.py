"""`addercost calibrate`."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from addercost.cli.emit import check_output, emit_table
from addercost.cli.options import output_options, quiet_option
from addercost.cli.progress import progress


@click.command()
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the table here instead of the user's cache folder, where `--cpu host` finds it.",
)
@output_options
@quiet_option
def calibrate(save: Path | None, table_format: str, output: Path | None, force: bool, quiet: bool) -> None:
    """Measure this machine in under a minute and keep it as a table named `host`.

    Latency and throughput of each kind of instruction, which of them share units, the inner loop of every
    arithmetic and number format, the clock, the bandwidth of caches and memory, and the cost of a call. Run
    it on an idle machine: only moments at its best known speed are used, and where there are too few, it
    says so and keeps nothing.
    """
    from addercost.errors import OutputError
    from addercost.hardware import load_file
    from addercost.hardware.loader import host_file
    from addercost.measure.devices.exclusive import exclusive
    from addercost.measure.host.calibrate import calibrate as measure
    from addercost.measure.host.table import calibration_toml
    from addercost.report.tables.hardware import figures_table
    from addercost.results.files import write_file

    check_output(output, force)
    check_output(save, force)
    with progress("measuring this machine", quiet), exclusive("cpu"):
        text = calibration_toml(measure(), datetime.date.today().isoformat())
    if save is None:
        path = host_file()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot make {path.parent}: {error.strerror}", "name a file with --save"
            ) from None
        write_file(path, text, force=True)
    else:
        path = save
        write_file(path, text, force)
    emit_table(figures_table(load_file(path)), table_format, output, force)
    if not quiet:
        click.echo(f"written to {path}", err=True)
