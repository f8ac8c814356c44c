"""Options that several commands share, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from addercost.arithmetic import Arithmetic
from addercost.errors import ArgumentError, unknown_name
from addercost.report.formats.table_format import TableFormat

if TYPE_CHECKING:
    from addercost.trace.inputs import ModelInputs

F = TypeVar("F", bound=Callable[..., Any])


def format_option(function: F) -> F:
    return click.option(
        "--format",
        "table_format",
        type=click.Choice([item.value for item in TableFormat]),
        default=TableFormat.TABLE.value,
        help="How to print the result.",
    )(function)


def output_options(function: F) -> F:
    """--format, -o and --force of every command that prints a table, and --debug."""
    decorators = (
        format_option,
        click.option(
            "-o", "--output", type=click.Path(path_type=Path), help="Write to a file instead of the terminal."
        ),
        click.option("--force", is_flag=True, help="Replace the file if it exists."),
        click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."),
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def convention_option_with(default: str) -> Callable[[F], F]:
    return click.option(
        "--convention",
        default=default,
        show_default=True,
        help="full, macs, thop or fvcore: what is counted.",
    )


convention_option = convention_option_with("full")


def cpu_option(function: F) -> F:
    return click.option(
        "--cpu",
        "cpus",
        multiple=True,
        metavar="NAME",
        help="Processor to estimate on; repeatable. Default: the paper's via-nano-2000; `none` counts only.",
    )(function)


def hardware_path_option(function: F) -> F:
    return click.option(
        "--hardware-path",
        type=click.Path(path_type=Path),
        help="A folder of tables that add to and override the built-in ones [env: ADDERCOST_HARDWARE].",
    )(function)


def energy_option(function: F) -> F:
    return click.option(
        "--energy",
        multiple=True,
        metavar="NAME",
        help="Energy table to estimate by; repeatable. Default: 45nm and 7nm; `none` for no energy.",
    )(function)


def input_option(function: F) -> F:
    return click.option(
        "--input",
        "inputs",
        multiple=True,
        metavar="SHAPE",
        help="1x3x224x224, 1x128:int64 or name=1x128:bool; repeatable.",
    )(function)


def parsed_inputs(texts: tuple[str, ...]) -> ModelInputs | None:
    """What --input says, or None where it was not given. Imports torch."""
    if not texts:
        return None
    from addercost.trace.inputs import parse_inputs

    return parse_inputs(texts)


def alternative_option(help_text: str) -> Callable[[F], F]:
    """--as for commands that set one other arithmetic against multiply-add."""
    return click.option(
        "--as",
        "arithmetic",
        type=click.Choice([item.value for item in Arithmetic if item is not Arithmetic.MAC]),
        default=Arithmetic.ADDER.value,
        show_default=True,
        help=help_text,
    )


def parsed_share(text: str, option: str = "--precision") -> float:
    """The share between 0 and 1 that 1% or 0.01 is. Raises ArgumentError."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise ArgumentError(f"{option} {text!r} is no share between 0 and 1", "write it as 1% or 0.01")
    return value


def parsed_arithmetics(text: str) -> tuple[Arithmetic, ...]:
    """A comma-separated list. Raises ArgumentError with the nearest names."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in list(Arithmetic):
            raise unknown_name("arithmetic", name, Arithmetic)
    return tuple(Arithmetic(name) for name in dict.fromkeys(names))


def keep_first_last_option(function: F) -> F:
    return click.option(
        "--keep-first-last", is_flag=True, help="What-ifs leave the first and the last layer as they are."
    )(function)


def backward_option(function: F) -> F:
    return click.option(
        "--backward", is_flag=True, help="Trace a training step: the forward and the gradients of its layers."
    )(function)


def what_if_option(function: F) -> F:
    return click.option(
        "--what-if",
        "what_if",
        multiple=True,
        metavar="CHANGE",
        help="What if the network were changed: prune=0.5, lowrank=0.25, separable, int8, shift-add, adder, "
        "xnor, shift; repeatable, in order.",
    )(function)


def quiet_option(function: F) -> F:
    return click.option("-q", "--quiet", is_flag=True, help="No progress, no remarks on stderr.")(function)


def time_limit_option(default_s: float, help_text: str) -> Callable[[F], F]:
    """--time-limit of commands that sample until an interval is narrow enough."""
    return click.option(
        "--time-limit",
        "time_limit_s",
        type=click.FloatRange(min=0, min_open=True),
        default=default_s,
        show_default=True,
        metavar="SECONDS",
        help=help_text,
    )


def chosen_cpus(names: tuple[str, ...]) -> tuple[str, ...]:
    """The processors a command works on: those given, else the default; `none` alone for none."""
    from addercost.api import DEFAULT_CPU

    if not names:
        return (DEFAULT_CPU,)
    return tuple(dict.fromkeys(name for name in names if name != "none"))
