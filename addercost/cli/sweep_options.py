"""The options that `addercost sweep` and `addercost sweep measure` share, and the functions that read their
texts.
"""

from __future__ import annotations

import click

from addercost.cli.numbers import SecondsRange
from addercost.cli.options import F, Option
from addercost.errors import ArgumentError


def dask_option(help_text: str) -> Option:
    return click.option("--dask", metavar="ADDRESS", help=help_text)


def batches_option(help_text: str, default: str | None) -> Option:
    return click.option(
        "--batch",
        "batches",
        default=default,
        show_default=default is not None,
        metavar="LIST",
        help=help_text,
    )


def chunk_option(help_text: str, default: int | None) -> Option:
    return click.option(
        "--chunk",
        type=click.IntRange(min=1),
        default=default,
        show_default=default is not None,
        help=help_text,
    )


def failure_options(child_process: str) -> Option:
    """The options --timeout, --memory-limit and --retry-failed. child_process: words for the work of a
    worker's child process.
    """
    decorators: tuple[Option, ...] = (
        click.option(
            "--timeout",
            type=SecondsRange(min=0),
            metavar="SECONDS",
            default=0.0,
            help="For one architecture; then it has failed.",
        ),
        click.option(
            "--memory-limit", metavar="SIZE", help=f"Of a worker's {child_process} process, such as 2G."
        ),
        click.option("--retry-failed", is_flag=True, help="Run chunks with failed architectures again."),
    )

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def parsed_list(text: str) -> tuple[str, ...]:
    """`a,b` as ("a", "b"), each once."""
    return tuple(dict.fromkeys(item.strip() for item in text.split(",") if item.strip()))


def parsed_batches(text: str) -> tuple[int, ...]:
    """`1,8` as (1, 8). Raises ArgumentError."""
    try:
        return tuple(dict.fromkeys(int(item) for item in parsed_list(text)))
    except ValueError:
        raise ArgumentError(f"--batch {text!r} is not a list of numbers", "write it as 1,8,64") from None
