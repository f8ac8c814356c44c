"""`addercost query DIR SQL`."""

from __future__ import annotations

from pathlib import Path

import click

from addercost.cli.emit import check_output, emit_table
from addercost.cli.help import HelpCommand
from addercost.cli.numbers import SecondsRange, parsed_bytes
from addercost.cli.options import output_options


@click.command(cls=HelpCommand)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("sql", metavar="SQL")
@click.option(
    "--timeout",
    "timeout_s",
    type=SecondsRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="A query that takes longer is stopped.",
)
@click.option(
    "--memory-limit", metavar="SIZE", default="4G", show_default=True, help="What a query may hold."
)
@click.option("--unlocked", is_flag=True, help="Let the query read and write files, and change settings.")
@output_options
def query(
    folder: Path,
    sql: str,
    timeout_s: float,
    memory_limit: str,
    unlocked: bool,
    table_format: str,
    output: Path | None,
    force: bool,
) -> None:
    """Ask a sweep a question in SQL: "SELECT name, batch, cycles FROM sweep ORDER BY cycles LIMIT 10".

    One row is an architecture × processor × arithmetic × batch. Columns: name, cpu, arithmetic, batch,
    convention, cost_model, energy, parameters, mac_sites, bytes, mul, add and the other operations, cycles,
    seconds, energy_j, error, and the facts the space gave. -o FILE.parquet writes Parquet.

    A query reads this sweep and nothing else: no file, no extension, no network. --unlocked is for SQL of
    your own.
    """
    check_output(output, force)
    from addercost.results.files import write_file
    from addercost.sweep.queries.sweep_data import QueryLimits, open_sweep

    data = open_sweep(
        folder, QueryLimits(not unlocked, timeout_s, parsed_bytes(memory_limit, "--memory-limit"))
    )
    if output is not None and output.suffix == ".parquet":
        write_file(output, data.to_parquet(sql), force)
        return
    emit_table(data.table(sql), table_format, output, force)
