"""`addercost sweep SPACE -o DIR`, and `addercost sweep top` and `pareto` over what it made."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addercost.cli.default_command import DefaultCommandGroup
from addercost.cli.emit import check_output, emit_table
from addercost.cli.options import (
    chosen_cpus,
    convention_option,
    cpu_option,
    output_options,
    parsed_share,
    quiet_option,
    time_limit_option,
)
from addercost.errors import ArgumentError

if TYPE_CHECKING:
    from addercost.report.table import Table
    from addercost.sweep.query import SweepData
    from addercost.sweep.ranking import Variant


@click.group(cls=DefaultCommandGroup, no_args_is_help=True)
def sweep() -> None:
    """Cost many architectures on many processors: `addercost sweep SPACE -o DIR`.

    SPACE is a Python file that defines `architectures`, zoo:* or torchvision:* (or another pattern), or
    nasbench201. `addercost sweep run --help` lists the options. Ask the result with `addercost query DIR
    SQL`.
    """


@sweep.command(short_help="Cost every architecture of SPACE.")
@click.argument("space", metavar="SPACE")
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Where shards go."
)
@cpu_option
@click.option("--energy", "energies", multiple=True, metavar="NAME", help="Energy table; repeatable.")
@click.option(
    "--as", "arithmetics", default="mac", show_default=True, metavar="LIST", help="mac,adder,xnor,shift"
)
@convention_option
@click.option(
    "--batch", "batches", default="1", show_default=True, metavar="LIST", help="Batch sizes: 1,8,64."
)
@click.option(
    "--cost-model", default="latency-sum", show_default=True, help="latency-sum, throughput or roofline."
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes of this machine. Default: one a core.")
@click.option(
    "--dask", metavar="ADDRESS", help="tcp://HOST:PORT of a Dask scheduler, or local:N to start one."
)
@click.option(
    "--chunk", type=click.IntRange(min=1), help="Architectures a task and a shard; at most 500 by default."
)
@click.option("--first", type=click.IntRange(min=1), metavar="N", help="Only the first N architectures.")
@click.option("--timeout", metavar="SECONDS", default=0.0, help="For one architecture; then it has failed.")
@click.option("--memory-limit", metavar="SIZE", help="Of a worker's tracing process, such as 2G.")
@click.option("--retry-failed", is_flag=True, help="Run chunks with failed architectures again.")
@click.option("--dry-run", is_flag=True, help="Say how many rows and about how long, and stop.")
@quiet_option
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def run(
    space: str,
    folder: Path | None,
    cpus: tuple[str, ...],
    energies: tuple[str, ...],
    arithmetics: str,
    convention: str,
    batches: str,
    cost_model: str,
    workers: int | None,
    dask: str | None,
    chunk: int | None,
    first: int | None,
    timeout: float,
    memory_limit: str | None,
    retry_failed: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Cost every architecture of SPACE on every processor given; what is done in DIR is not done again.

    --convention may list several, as may --as and --batch. A batch multiplies the first dimension of the
    inputs a space gives. Killed at any moment, the same command finishes the sweep.
    """
    from addercost.cli.sweep_text import forecast_text, report_text
    from addercost.results.sweep_settings import SweepSettings
    from addercost.sweep.engines import dask_cluster, process_pool
    from addercost.sweep.run import plan
    from addercost.sweep.run import sweep as run_sweep

    if folder is None and not dry_run:
        raise ArgumentError("nowhere to put the result", "name a folder with -o DIR, or give --dry-run")
    settings = SweepSettings(
        cpus=chosen_cpus(cpus),
        energies=tuple(dict.fromkeys(energies)),
        arithmetics=_list(arithmetics),
        conventions=_list(convention),
        batches=_numbers(batches),
        cost_model=cost_model,
        chunk=chunk or 0,
    )
    count = workers or _cores()
    engine = dask_cluster(dask) if dask else process_pool(count)
    what = plan(space, settings, first)
    if dry_run:
        from addercost.sweep.forecast import forecast

        expected = forecast(what, _dask_workers(dask) or count, timeout, _bytes(memory_limit))
        click.echo(forecast_text(expected), nl=False)
        return
    assert folder is not None
    from addercost.cli.sweep_progress import sweep_progress

    with sweep_progress(what.walk.architectures, quiet) as on_chunk:
        report = run_sweep(
            what,
            folder,
            engine=engine,
            timeout_s=timeout,
            memory_limit_bytes=_bytes(memory_limit),
            retry_failed=retry_failed,
            on_chunk=on_chunk,
        )
    if not quiet:
        print(report_text(report), end="", file=sys.stderr)


@sweep.command(short_help="Time forwards of what DIR has swept.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of a CPU.")
@click.option("--as", "arithmetics", metavar="LIST", help="mac,adder,xnor,shift; the sweep's by default.")
@click.option("--batch", "batches", metavar="LIST", help="Batch sizes; the sweep's by default.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="N architectures spread evenly.")
@click.option("--precision", default="2%", show_default=True, help="Of the 95 % interval of each median.")
@time_limit_option(2.0, "For one timing.")
@click.option("--dask", metavar="ADDRESS", help="As for a sweep: one worker a machine measures at a time.")
@click.option("--chunk", type=click.IntRange(min=1), default=20, show_default=True, help="Of a shard.")
@click.option("--timeout", metavar="SECONDS", default=0.0, help="For one architecture; then it has failed.")
@click.option("--memory-limit", metavar="SIZE", help="Of a worker's measuring process, such as 2G.")
@click.option("--retry-failed", is_flag=True, help="Run chunks with failed architectures again.")
@quiet_option
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def measure(
    folder: Path,
    device: str,
    threads: int,
    arithmetics: str | None,
    batches: str | None,
    sample: int | None,
    precision: str,
    time_limit_s: float,
    dask: str | None,
    chunk: int,
    timeout: float,
    memory_limit: str | None,
    retry_failed: bool,
    quiet: bool,
) -> None:
    """Time forwards of what DIR has swept; killed at any moment, the same command goes on.

    Results are the table `measured` of `addercost query DIR`, and the metric measured_s@DEVICE of `top` and
    `pareto`. One measurement runs at a time on a machine. Workers of a Dask cluster take part if they offer
    the resource addercost-device: `dask worker ADDRESS --nthreads 1 --resources addercost-device=1`.
    """
    from addercost.cli.sweep_text import report_text
    from addercost.sweep.engines import dask_cluster
    from addercost.sweep.measure_run import measure as run_measure
    from addercost.sweep.measure_run import measure_plan
    from addercost.sweep.measured import RESOURCE, MeasureSettings
    from addercost.sweep.store import read_manifest

    swept = read_manifest(folder).settings
    settings = MeasureSettings(
        device=device,
        threads=threads,
        arithmetics=_list(arithmetics) if arithmetics else swept.arithmetics,
        batches=_numbers(batches) if batches else swept.batches,
        precision=parsed_share(precision),
        time_limit_s=time_limit_s,
        sample=sample or 0,
        chunk=chunk,
    )
    what = measure_plan(folder, settings)
    from addercost.cli.sweep_progress import sweep_progress

    with sweep_progress(what.layout.architectures, quiet) as on_chunk:
        report = run_measure(
            what,
            folder,
            engine=dask_cluster(dask, RESOURCE) if dask else None,
            timeout_s=timeout,
            memory_limit_bytes=_bytes(memory_limit),
            retry_failed=retry_failed,
            on_chunk=on_chunk,
        )
    if not quiet:
        print(report_text(report, "measured"), end="", file=sys.stderr)


def _variant_options(function: Any) -> Any:
    for option in (
        click.option("--as", "arithmetic", help="Of which arithmetic; the sweep's first by default."),
        click.option("--convention", help="By which convention; the sweep's first by default."),
        click.option("--batch", type=int, help="At which batch size; the sweep's first by default."),
        click.option("--limit", "limits", multiple=True, metavar="LIMIT", help="accuracy>90; repeatable."),
    ):
        function = option(function)
    return function


@sweep.command(short_help="Print the best architectures by a metric.")
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
    from addercost.sweep.query import open_sweep
    from addercost.sweep.ranking import top as ranked

    data = open_sweep(folder)
    table = ranked(data, by, _variant(data, arithmetic, convention, batch), limits, rows, largest, shown)
    _emit(table, table_format, output, force)


@sweep.command(short_help="Print the architectures no other beats.")
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
    from addercost.sweep.query import open_sweep
    from addercost.sweep.ranking import pareto as front

    data = open_sweep(folder)
    table = front(data, smallest, largest, _variant(data, arithmetic, convention, batch), limits)
    _emit(table, table_format, output, force)


def _variant(data: SweepData, arithmetic: str | None, convention: str | None, batch: int | None) -> Variant:
    from addercost.sweep.ranking import Variant

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
        from addercost.sweep.query import table_to_parquet

        write_file(output, table_to_parquet(table), force)
        return
    emit_table(table, table_format, output, force)


def _list(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.strip() for item in text.split(",") if item.strip()))


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(item) for item in _list(text)))
    except ValueError:
        raise ArgumentError(f"--batch {text!r} is not a list of numbers", "write it as 1,8,64") from None


def _bytes(text: str | None) -> int:
    from addercost.units import parse_quantity

    if not text:
        return 0
    try:
        return int(parse_quantity(text.removesuffix("iB").removesuffix("B")))
    except ValueError:
        raise ArgumentError(f"--memory-limit {text!r} is not a size", "write it as 2G") from None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _dask_workers(address: str | None) -> int:
    kind, _, number = (address or "").partition(":")
    return int(number) if kind == "local" and number.isdigit() else 0
