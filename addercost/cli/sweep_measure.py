"""`addercost sweep measure DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from addercost.cli.help import HelpCommand
from addercost.cli.measuring_options import (
    device_option,
    parsed_share,
    precision_option,
    threads_option,
    time_limit_option,
)
from addercost.cli.numbers import parsed_bytes
from addercost.cli.options import arithmetics_option, debug_option, quiet_option
from addercost.cli.sweep_options import (
    batches_option,
    chunk_option,
    dask_option,
    failure_options,
    parsed_batches,
    parsed_list,
)
from addercost.counts.arithmetics import WITH_LAYERS


@click.command(cls=HelpCommand, short_help="Time forwards of what DIR has swept.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@device_option
@threads_option
@arithmetics_option(f"{','.join(WITH_LAYERS)}; the sweep's by default.", None)
@batches_option("Batch sizes; the sweep's by default.", None)
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="N architectures spread evenly.")
@precision_option("2%", "Of the 95 % interval of each median.")
@time_limit_option(2.0, "For one timing.")
@dask_option("As for a sweep: one worker a machine measures at a time.")
@chunk_option("Of a shard.", 20)
@failure_options("measuring")
@quiet_option
@debug_option
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
    from addercost.sweep.chunks.dask_cluster import dask_cluster
    from addercost.sweep.measure import measure as measure_folder
    from addercost.sweep.measure import measure_plan
    from addercost.sweep.measurement import RESOURCE, MeasureSettings
    from addercost.sweep.shards.manifest import read_manifest

    swept = read_manifest(folder).settings
    settings = MeasureSettings(
        device=device,
        threads=threads,
        arithmetics=parsed_list(arithmetics) if arithmetics else swept.arithmetics,
        batches=parsed_batches(batches) if batches else swept.batches,
        precision=parsed_share(precision),
        time_limit_s=time_limit_s,
        sample=sample or 0,
        chunk=chunk,
    )
    what = measure_plan(folder, settings)
    from addercost.cli.sweep_progress import sweep_progress

    with sweep_progress(what.layout.architectures, quiet) as on_chunk:
        report = measure_folder(
            what,
            folder,
            engine=dask_cluster(dask, RESOURCE) if dask else None,
            timeout_s=timeout,
            memory_limit_bytes=parsed_bytes(memory_limit, "--memory-limit"),
            retry_failed=retry_failed,
            on_chunk=on_chunk,
        )
    if not quiet:
        print(report_text(report, "measured"), end="", file=sys.stderr)
