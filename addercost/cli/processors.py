"""--cpu, --gpu and their settings, declared once for every command that estimates.

A command gets the names of targets. Settings become part of a name (`addercost.cost.target_settings`).
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click

from addercost.cli.completion import complete_gpu, complete_processor
from addercost.cli.options import F, Option, was_given
from addercost.errors import ArgumentError


def cpus_option(help_text: str) -> Option:
    """--cpu, --gpu and the settings of a command that estimates on several processors."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def chosen(*, cpus: tuple[str, ...], gpus: tuple[str, ...], graphs: bool, **others: Any) -> Any:
            settings = _taken_out(others)
            named = tuple(_with_settings(name, settings) for name in cpus if name != "none")
            _refuse_without_a_name(settings, graphs, bool(named), bool(gpus))
            found = tuple(_gpu_named(name, graphs, others.get("hardware_path")) for name in gpus)
            return function(cpus=(*(named or cpus), *found), **others)

        decorated: F = _decorated(
            chosen,
            click.option(
                "--cpu",
                "cpus",
                multiple=True,
                metavar="NAME",
                help=help_text,
                shell_complete=complete_processor,
            ),
            _gpu_option("gpus", "GPU to estimate on as well; repeatable.", multiple=True),
            _graphs_option,
            *_SETTINGS,
        )
        return decorated

    return decorate


def one_cpu_option(help_text: str, default: str | None = None) -> Option:
    """--cpu, --gpu and the settings of a command that looks at one processor."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def chosen(*, cpu: str | None, gpu: str | None, graphs: bool, **others: Any) -> Any:
            settings = _taken_out(others)
            if gpu is not None and was_given("cpu"):
                raise ArgumentError("--cpu and --gpu: one processor is looked at", "give one of the two")
            _refuse_without_a_name(settings, graphs, cpu is not None and gpu is None, gpu is not None)
            if gpu is not None:
                cpu = _gpu_named(gpu, graphs, others.get("hardware_path"))
            elif cpu is not None:
                cpu = _with_settings(cpu, settings)
            return function(cpu=cpu, **others)

        shown = {"default": default, "show_default": True} if default is not None else {}
        decorated: F = _decorated(
            chosen,
            click.option(
                "--cpu",
                metavar="NAME",
                help=help_text,
                shell_complete=complete_processor,
                **shown,  # type: ignore[arg-type]
            ),
            _gpu_option("gpu", "GPU in place of a --cpu."),
            _graphs_option,
            *_SETTINGS,
        )
        return decorated

    return decorate


_SETTINGS = (
    click.option("--clock", metavar="HZ", help="Of every --cpu, in place of its table's: 1.8GHz."),
    click.option("--bandwidth", metavar="RATE", help="Of its memory, in place of its table's: 8GB/s."),
    click.option(
        "--cores",
        type=click.IntRange(min=1),
        metavar="N",
        help="Cores that share each layer (throughput, roofline), or that the part has (eager, fused).",
    ),
)
_graphs_option = click.option(
    "--graphs", is_flag=True, help="A GPU replays recorded graphs: no time to launch kernels."
)


def _gpu_option(name: str, help_text: str, multiple: bool = False) -> Option:
    return click.option(
        "--gpu", name, multiple=multiple, metavar="NAME", help=help_text, shell_complete=complete_gpu
    )


def _decorated(function: Any, *options: Any) -> Any:
    for option in reversed(options):
        function = option(function)
    return function


def _taken_out(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: arguments.pop(name) for name in ("clock", "bandwidth", "cores")}


def _refuse_without_a_name(settings: dict[str, Any], graphs: bool, has_cpu: bool, has_gpu: bool) -> None:
    if not has_cpu and any(value is not None for value in settings.values()):
        raise ArgumentError(
            "--clock, --bandwidth and --cores are of a --cpu, and none is named", "name the processor"
        )
    if graphs and not has_gpu:
        raise ArgumentError("--graphs is of a --gpu, and none is named", "name the GPU")


def _with_settings(name: str, settings: dict[str, Any]) -> str:
    """The name of a target with the settings of the options. Raises ArgumentError for a setting out of
    range.
    """
    if all(value is None for value in settings.values()):
        return name
    from addercost.cost.target_settings import MARK, settings_text, split_name

    text = settings_text(**settings)
    if split_name(name)[0] != name:
        raise ArgumentError(f"{name} has settings of its own", f"write them all after its {MARK}")
    return name + text


def _gpu_named(name: str, graphs: bool, hardware_path: Path | None) -> str:
    """The name of a GPU as a target. Raises ArgumentError for one that has no table."""
    from addercost.cost.target_settings import settings_text, split_name
    from addercost.hardware import load_gpu

    load_gpu(split_name(name)[0], hardware_path)
    return name + settings_text(None, None, None, graphs)
