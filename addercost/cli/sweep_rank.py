"""`addercost sweep top DIR` and `addercost sweep pareto DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.cli.emit import check_output, emit_table
from addercost.cli.help import HelpCommand
from addercost.cli.options import F, output_options
from addercost.errors import ArgumentError

if TYPE_CHECKING:
    from addercost.report.table import Table
    from addercost.sweep.queries.metrics import Variant
    from addercost.sweep.queries.sweep_data import SweepData


def _variant_options(function: F) -> F:
    for option in (
        click.option("--as", "arithmetic", help="Of which arithmetic; the sweep's first by default."),
        click.option("--convention", help="By which convention; the sweep's first by default."),
        click.option("--batch", type=int, help="At which batch size; the sweep's first by default."),
        click.option("--limit", "limits", multiple=True, metavar="LIMIT", help="accuracy>90; repeatable."),
    ):
        function = option(function)
    return function


@click.command(cls=HelpCommand, short_help="Print the best architectures by a metric.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--by", required=True, metavar="METRIC", help="cycles@PROCESSOR, energy_j@TABLE, or a column.")
@click.option("-n", "--rows", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--largest", is_flag=True, help="The largest first; else the smallest.")
@click.option(
    "--show", "shown", multiple=True, metavar="METRIC", help="Further metrics to print; repeatable."
)
@_variant_options
@output_options
def top(
    folder: Path,
    by: str,
    rows: int,
    largest: bool,
    shown: tuple[str, ...],
    arithmetic: str | None,
    convention: str | None,
    batch: int | None,
    limits: tuple[str, ...],
    table_format: str,
    output: Path | None,
    force: bool,
) -> None:
    """Print the best architectures of a sweep by a metric: --by cycles@via-nano-2000 --limit accuracy>90."""
    check_output(output, force)
    from addercost.sweep.queries.ranking import top as ranked
    from addercost.sweep.queries.sweep_data import open_sweep

    data = open_sweep(folder)
    table = ranked(data, by, _variant(data, arithmetic, convention, batch), limits, rows, largest, shown)
    _emit(table, table_format, output, force)


@click.command(cls=HelpCommand, short_help="Print the architectures no other beats.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--min", "smallest", multiple=True, metavar="METRIC", help="Smaller is better; repeatable.")
@click.option("--max", "largest", multiple=True, metavar="METRIC", help="Larger is better; repeatable.")
@_variant_options
@output_options
def pareto(
    folder: Path,
    smallest: tuple[str, ...],
    largest: tuple[str, ...],
    arithmetic: str | None,
    convention: str | None,
    batch: int | None,
    limits: tuple[str, ...],
    table_format: str,
    output: Path | None,
    force: bool,
) -> None:
    """Print the architectures that no other beats in every metric: --min cycles@amd-zen4 --max accuracy."""
    check_output(output, force)
    from addercost.sweep.queries.ranking import pareto as front
    from addercost.sweep.queries.sweep_data import open_sweep

    data = open_sweep(folder)
    table = front(data, smallest, largest, _variant(data, arithmetic, convention, batch), limits)
    _emit(table, table_format, output, force)


def _variant(data: SweepData, arithmetic: str | None, convention: str | None, batch: int | None) -> Variant:
    """The variant of rows that the options select, by default the sweep's first. Raises ArgumentError where
    the sweep has no such rows.
    """
    from addercost.sweep.queries.metrics import Variant

    has = data.manifest.settings
    variant = Variant(
        arithmetic or has.arithmetics[0], convention or has.conventions[0], batch or has.batches[0]
    )
    if (variant.batch, variant.convention, variant.arithmetic) not in has.combinations:
        choices = ", ".join(" ".join(map(str, item)) for item in has.combinations)
        raise ArgumentError(
            f"the sweep has no batch {variant.batch}, {variant.convention}, {variant.arithmetic}",
            f"it has {choices}",
        )
    return variant


def _emit(table: Table, table_format: str, output: Path | None, force: bool) -> None:
    if output is not None and output.suffix == ".parquet":
        from addercost.results.files import write_file
        from addercost.sweep.queries.parquet_bytes import table_to_parquet

        write_file(output, table_to_parquet(table), force)
        return
    emit_table(table, table_format, output, force)
