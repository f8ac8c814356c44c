"""`addercost tune [SPEC]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from addercost.cli.measuring_options import check_threads, minutes_option, threads_option
from addercost.cli.options import input_option, model_batch_option, parsed_inputs, quiet_option
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.errors import unknown_name
from addercost.kernels.cpu.dense.families import FAMILIES

if TYPE_CHECKING:
    from addercost.kernels.cpu.dense.tuned import TunedLayer
    from addercost.measure.case import LayerCase
    from addercost.measure.tuning.layers import TunableLayer

LAYOUTS = ("channels-last", "contiguous")


@click.command(cls=SpecCommand)
@spec_argument("spec", required=False)
@input_option
@model_batch_option
@click.option(
    "--layouts", default=",".join(LAYOUTS), show_default=True, metavar="NAMES", help="Of the images."
)
@click.option(
    "--kernels",
    default=",".join(FAMILIES),
    show_default=True,
    metavar="NAMES",
    help="Families of kernels to tune.",
)
@threads_option
@minutes_option(10.0, "Stop after so long; the same command goes on.")
@click.option("--again", is_flag=True, help="Tune layers again that were tuned before.")
@quiet_option
def tune(
    spec: str | None,
    inputs: tuple[str, ...],
    batch: int,
    layouts: str,
    kernels: str,
    threads: int,
    minutes: float,
    again: bool,
    quiet: bool,
) -> None:
    """Find the fastest schedules of our kernels on this machine, for the layers of SPEC.

    Without SPEC: the layers of ResNet-18, -20 and -50 and of LeNet-5. The schedules are kept in the user's
    cache folder, and every later run uses them; one that is running now does within a second. Each is
    kept as soon as it is found, so an interrupted command loses one layer and goes on when it is given again.
    Layers that were tuned before, here or for a release on this kind of processor, are left out. Run it on
    an idle machine. ADDERCOST_NO_TUNE=1 makes every command leave the tuned schedules out.
    """
    chosen_layouts = _names(layouts, LAYOUTS, "layout")
    families = _names(kernels, FAMILIES, "family of kernels")
    check_threads(threads)
    from addercost.measure.contenders.contender import require_kernels

    require_kernels("halide")
    with progress("tracing", quiet):
        cases = _cases(spec, inputs, batch)
    left = tune_cases(cases, chosen_layouts, families, threads, minutes, again, quiet)
    if left:
        click.echo(f"{left} layers are left: the same command goes on", err=True)


def tune_cases(
    cases: tuple[LayerCase, ...],
    layouts: tuple[str, ...],
    families: tuple[str, ...],
    threads: int,
    minutes: float,
    again: bool,
    quiet: bool,
) -> int:
    """Tunes layers and prints each result. Returns how many layers are left."""
    from addercost.kernels.cpu.dense.tuned import schedules_folder
    from addercost.measure.devices.cpu import CpuDevice
    from addercost.measure.devices.exclusive import exclusive
    from addercost.measure.tuning.layers import tunable_layers
    from addercost.measure.tuning.run import tune as run

    layers = list(tunable_layers(cases, layouts, families))
    faster = searched = 0

    def said(number: int, layer: TunableLayer, found: TunedLayer) -> None:
        nonlocal faster, searched
        searched, faster = searched + 1, faster + (found.schedule is not None)
        if not quiet:
            what = "the rule's schedule stays"
            if found.schedule is not None:
                what = f"{found.schedule} takes {found.ratio:.2f} times as long as the rule's"
            click.echo(f"{number}/{len(layers)} {layer.text}: {what}", err=True)

    folder = schedules_folder()
    with exclusive("cpu"):
        device = CpuDevice(threads)
        try:
            left = run(layers, device, folder, minutes, again, said)
        finally:
            device.close()
    click.echo(
        f"{searched} layers tuned, {faster} have a faster schedule than the rule's; "
        f"{len(layers) - searched - left} were tuned before; kept in {folder}",
        err=True,
    )
    return left


def zoo_cases() -> tuple[LayerCase, ...]:
    """The distinct layers of the networks that are tuned where the user names none."""
    from addercost.measure.tuning.layers import ZOO

    return tuple(dict.fromkeys(case for name in ZOO for case in _cases(name, (), 1)))


def _cases(spec: str | None, inputs: tuple[str, ...], batch: int) -> tuple[LayerCase, ...]:
    from addercost.api import trace_spec
    from addercost.measure.case import cases_of

    if spec is None:
        return zoo_cases()
    return tuple(use.case for use in cases_of(trace_spec(spec, parsed_inputs(inputs)), batch).uses)


def _names(text: str, known: tuple[str, ...], kind: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in known:
            raise unknown_name(kind, name, known)
    return names
