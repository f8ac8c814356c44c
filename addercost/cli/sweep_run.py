"""`addercost sweep SPACE -o DIR`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from addercost.arithmetic import Arithmetic
from addercost.cli.completion import complete_cost_model
from addercost.cli.estimates import THIS_MACHINE, memory_option, without_none
from addercost.cli.help import HelpCommand
from addercost.cli.numbers import parsed_bytes
from addercost.cli.options import (
    arithmetics_option,
    convention_option,
    debug_option,
    energy_option_with,
    folder_option,
    hardware_path_option,
    quiet_option,
    what_if_option,
)
from addercost.cli.processors import cpus_option
from addercost.cli.sweep_options import (
    batches_option,
    chunk_option,
    dask_option,
    failure_options,
    parsed_batches,
    parsed_list,
)
from addercost.cost.models import listed_models
from addercost.errors import ArgumentError


@click.command(cls=HelpCommand, short_help="Cost every architecture of SPACE.")
@click.argument("space", metavar="SPACE")
@folder_option("Where shards go.")
@cpus_option(f"Processor or device; repeatable. Default: {THIS_MACHINE.text}; `none` counts only.")
@energy_option_with("Energy table; repeatable.")
@memory_option
@hardware_path_option
@arithmetics_option(",".join(Arithmetic), "mac")
@what_if_option
@convention_option
@batches_option("Batch sizes: 1,8,64.", "1")
@click.option(
    "--cost-model",
    metavar="NAME",
    shell_complete=complete_cost_model,
    help=f"{listed_models()}. Default: the best that all processors have figures for.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes of this machine. Default: one a core.")
@dask_option("tcp://HOST:PORT of a Dask scheduler, or local:N to start one.")
@chunk_option("Architectures a task and a shard; at most 500 by default.", None)
@click.option("--first", type=click.IntRange(min=1), metavar="N", help="Only the first N architectures.")
@failure_options("tracing")
@click.option("--dry-run", is_flag=True, help="Say how many rows and about how long, and stop.")
@quiet_option
@debug_option
def run(
    space: str,
    folder: Path | None,
    cpus: tuple[str, ...],
    energy: tuple[str, ...],
    memories: tuple[str, ...],
    hardware_path: Path | None,
    arithmetics: str,
    what_if: tuple[str, ...],
    convention: str,
    batches: str,
    cost_model: str | None,
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
    from addercost.sweep.chunks.dask_cluster import dask_cluster
    from addercost.sweep.chunks.process_pool import process_pool
    from addercost.sweep.run import plan, sweep

    if folder is None and not dry_run:
        raise ArgumentError("nowhere to put the result", "name a folder with -o DIR, or give --dry-run")
    from addercost.cost.models import cost_model_named
    from addercost.hardware.loader import ENVIRONMENT_VARIABLE, user_folder

    by_kernels = cost_model is not None and cost_model_named(cost_model).predict is not None
    if by_kernels and dask and not _dask_workers(dask):
        raise ArgumentError(f"{cost_model} is by this machine's kernels", "leave --dask out, or give local:N")
    if hardware_path is not None:
        if dask and not _dask_workers(dask):
            raise ArgumentError(
                "--hardware-path is a folder of this machine", "leave --dask out, or give local:N"
            )
        # Workers are other processes and find it there.
        os.environ[ENVIRONMENT_VARIABLE] = str(Path(user_folder(hardware_path) or hardware_path).resolve())
    settings = SweepSettings(
        cpus=without_none(cpus or THIS_MACHINE.names(None)),
        energies=tuple(dict.fromkeys(energy)),
        arithmetics=parsed_list(arithmetics),
        conventions=parsed_list(convention),
        batches=parsed_batches(batches),
        cost_model=cost_model or "",
        chunk=chunk or 0,
        memories=tuple(dict.fromkeys(memories)),
        what_if=what_if,
    )
    count = workers or _cores()
    engine = dask_cluster(dask) if dask else process_pool(count)
    what = plan(space, settings, first)
    if dry_run:
        from addercost.results.stdout import write_stdout
        from addercost.sweep.forecast import forecast

        expected = forecast(
            what, _dask_workers(dask) or count, timeout, parsed_bytes(memory_limit, "--memory-limit")
        )
        write_stdout(forecast_text(expected))
        return
    assert folder is not None
    from addercost.cli.sweep_progress import sweep_progress

    with sweep_progress(what.walk.architectures, quiet) as on_chunk:
        report = sweep(
            what,
            folder,
            engine=engine,
            timeout_s=timeout,
            memory_limit_bytes=parsed_bytes(memory_limit, "--memory-limit"),
            retry_failed=retry_failed,
            on_chunk=on_chunk,
        )
    if not quiet:
        print(report_text(report), end="", file=sys.stderr)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _dask_workers(address: str | None) -> int:
    """N of `local:N`, else 0."""
    kind, _, number = (address or "").partition(":")
    return int(number) if kind == "local" and number.isdigit() else 0
