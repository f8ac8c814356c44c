"""`addercost query DIR SQL`."""

from __future__ import annotations

from pathlib import Path

import click

from addercost.cli.emit import check_output, emit_table
from addercost.cli.options import output_options


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("sql", metavar="SQL")
@output_options
def query(folder: Path, sql: str, table_format: str, output: Path | None, force: bool) -> None:
    """Ask a sweep a question in SQL: "SELECT name, batch, cycles FROM sweep ORDER BY cycles LIMIT 10".

    One row is an architecture × processor × arithmetic × batch. Columns: name, cpu, arithmetic, batch,
    convention, cost_model, energy, parameters, mac_sites, bytes, mul, add and the other operations, cycles,
    seconds, energy_j, error, and the facts the space gave. -o FILE.parquet writes Parquet.
    """
    check_output(output, force)
    from addercost.results.files import write_file
    from addercost.sweep.queries.sweep_data import open_sweep

    data = open_sweep(folder)
    if output is not None and output.suffix == ".parquet":
        write_file(output, data.to_parquet(sql), force)
        return
    emit_table(data.table(sql), table_format, output, force)
