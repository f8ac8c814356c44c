"""`addercost calibrate`."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from addercost.cli.emit import check_output, emit_table
from addercost.cli.help import HelpCommand
from addercost.cli.measuring_options import (
    accept_noise_option,
    check_threads,
    layout_option,
    minutes_option,
    threads_option_with,
)
from addercost.cli.options import output_options, quiet_option, was_given
from addercost.cli.progress import progress
from addercost.errors import ArgumentError, unknown_name

TUNING_MINUTES = 3.0
KERNEL_MINUTES = 3.0


@click.command(cls=HelpCommand)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the table here instead of the user's cache folder, where `--cpu host` finds it.",
)
@click.option(
    "--kernels",
    is_flag=True,
    help="Instead time operator calls of many shapes, for the cost model `calibrated`. Killed, it goes on.",
)
@minutes_option(
    None,
    "How long to wait for quiet moments, at most (5); with --kernels, how long to time (3).",
)
@click.option(
    "--dtype",
    default="fp32",
    show_default=True,
    metavar="NAMES",
    help="With --kernels: formats to time, from fp32, bf16, fp16 and int8.",
)
@click.option(
    "--no-tune",
    is_flag=True,
    help="Do not look for the fastest schedules of our kernels: see `addercost tune`.",
)
@threads_option_with(
    "With --kernels: threads that share each kernel; `--cpu host --cores N` is then predicted by them."
)
@layout_option(
    "contiguous",
    "of images, with --kernels. Whole networks are predicted in NCHW, which is contiguous; layers of "
    "`bench` and `verdict` in the layout in which they are timed.",
)
@click.option(
    "--mode",
    default="eager",
    show_default=True,
    metavar="NAME",
    help="With --kernels: eager, or compiled: whole networks through torch.compile, for the cost model "
    "`calibrated-fused`. That needs the kernels of --layout channels-last as well.",
)
@accept_noise_option
@output_options
@quiet_option
def calibrate(
    save: Path | None,
    kernels: bool,
    minutes: float | None,
    dtype: str,
    no_tune: bool,
    threads: int,
    layout: str,
    mode: str,
    accept_noise: bool,
    table_format: str,
    output: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Measure this machine into a table named `host`, in under a minute, and tune our kernels.

    Latency and throughput of each kind of instruction, which of them share units, the inner loop of every
    arithmetic and number format, the clock, the bandwidth of caches and memory, and the cost of a call. Run
    it on an idle machine: only moments at its best known speed are used, and where there are too few within
    --minutes, it says so and keeps nothing. Without --save it then does what `addercost tune` does, for
    three minutes, unless this kind of processor was tuned already.
    """
    from addercost.errors import OutputError
    from addercost.hardware import load_file
    from addercost.hardware.loader import host_file
    from addercost.measure.devices.exclusive import exclusive
    from addercost.measure.host.calibrate import calibrate as measure
    from addercost.measure.host.sampling import LIMIT_S
    from addercost.measure.host.table import calibration_toml
    from addercost.report.tables.hardware import figures_table
    from addercost.results.files import write_file

    if kernels:
        formats = tuple(dict.fromkeys(name.strip() for name in dtype.split(",")))
        _time_kernels(save, minutes or KERNEL_MINUTES, formats, threads, layout, mode, accept_noise, quiet)
        return
    _refuse_options_of_kernels()
    check_output(output, force)
    check_output(save, force)
    with progress("measuring this machine", quiet), exclusive("cpu"):
        limit_s = 60 * minutes if minutes else LIMIT_S
        text = calibration_toml(measure(limit_s=limit_s), datetime.date.today().isoformat())
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
    if save is None and not no_tune:
        _tune(quiet)


def _tune(quiet: bool) -> None:
    import os

    from addercost.cli.tune import LAYOUTS, tune_cases, zoo_cases
    from addercost.kernels.cpu.dense.families import FAMILIES

    try:
        from addercost.kernels.cpu.dense.tuned import VARIABLE
    except ImportError:
        return  # the kernels are not installed
    if not os.environ.get(VARIABLE):
        tune_cases(zoo_cases(), LAYOUTS, FAMILIES, 1, TUNING_MINUTES, again=False, quiet=quiet)


def _refuse_options_of_kernels() -> None:
    options = ("dtype", "threads", "layout", "mode", "accept_noise")
    given = [name for name in options if was_given(name)]
    if given:
        raise ArgumentError(f"--{given[0].replace('_', '-')} is for kernels", "add --kernels")


def _time_kernels(
    save: Path | None,
    minutes: float,
    dtypes: tuple[str, ...],
    threads: int,
    layout: str,
    mode: str,
    accept_noise: bool,
    quiet: bool,
) -> None:
    """Each format for an equal share of the minutes."""
    check_threads(threads)
    from addercost.hardware.kernel_times import COMPILED, MODES, kernel_times_file
    from addercost.measure.kernel_times.measure import DTYPES, LAYOUTS, KernelSettings, measure_kernels

    for name in dtypes:
        if name not in DTYPES:
            raise unknown_name("format", name, DTYPES)
    if layout not in LAYOUTS:
        raise unknown_name("layout", layout, LAYOUTS)
    if mode not in MODES:
        raise unknown_name("mode", mode, MODES)
    if mode == COMPILED and was_given("layout"):
        raise ArgumentError("a compiler chooses the layout of images itself", "leave --layout out")
    if mode == COMPILED and "int8" in dtypes:
        raise ArgumentError("networks are compiled in floating point", "leave int8 out of --dtype")
    if save is not None and len(dtypes) > 1:
        raise ArgumentError("one file takes one format", "leave --save out, or name one format with --dtype")
    for name in dtypes:
        settings = KernelSettings(
            threads, name, minutes / len(dtypes), layout=layout, accept_noise=accept_noise, mode=mode
        )
        path = save or kernel_times_file(threads, DTYPES[name], layout, mode)
        with progress(f"timing kernels in {name}", quiet):
            times = measure_kernels(settings, path)
        if not quiet:
            click.echo(
                f"{len(times.samples)} kernels, {len(times.network_names)} networks in {path}", err=True
            )
