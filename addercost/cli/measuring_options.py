"""Options of commands that time something, each declared once, and the functions that read their texts."""

from __future__ import annotations

import click

from addercost.cli.numbers import FiniteRange, SecondsRange
from addercost.cli.options import F, Option
from addercost.errors import ArgumentError


def device_option(function: F) -> F:
    return click.option(
        "--device", default="cpu", show_default=True, metavar="NAME", help="cpu or cuda, to time on."
    )(function)


def threads_option_with(help_text: str) -> Option:
    return click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help=help_text)


threads_option = threads_option_with("Of the CPU.")


def check_threads(threads: int) -> None:
    """Raises ArgumentError for more threads than this machine has cores."""
    import os

    cores = os.cpu_count() or 1
    if threads > cores:
        raise ArgumentError(
            f"--threads {threads}, and this machine has {cores} cores", f"give {cores} or less"
        )


def minutes_option(default: float | None, help_text: str) -> Option:
    """Without a default, the help says what is taken."""
    return click.option(
        "--minutes",
        type=FiniteRange(min=0, min_open=True),
        default=default,
        show_default=True,
        help=help_text,
    )


def layout_option(default: str, help_text: str) -> Option:
    return click.option(
        "--layout", default=default, show_default=True, help=f"channels-last or contiguous, {help_text}"
    )


def accept_noise_option(function: F) -> F:
    option: Option = click.option(
        "--accept-noise",
        is_flag=True,
        help="Time a machine that is hardly ever quiet at the best speed that it often has.",
    )
    return option(function)


def precision_option(default: str, help_text: str) -> Option:
    """--precision of commands that sample until an interval is narrow enough."""
    return click.option("--precision", default=default, show_default=True, metavar="SHARE", help=help_text)


def time_limit_option(default_s: float, help_text: str) -> Option:
    """--time-limit of the same commands."""
    return click.option(
        "--time-limit",
        "time_limit_s",
        type=SecondsRange(min=0, min_open=True),
        default=default_s,
        show_default=True,
        metavar="SECONDS",
        help=help_text,
    )


def parsed_share(text: str, option: str = "--precision") -> float:
    """The share from 0 to 1 of a text such as 1% or 0.01. Raises ArgumentError for any other text."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise ArgumentError(f"{option} {text!r} is no share between 0 and 1", "write it as 1% or 0.01")
    return value
