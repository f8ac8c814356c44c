"""--accelerator with what a user sets on it, declared once for every command that estimates."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from addercost.cli.completion import complete_accelerator
from addercost.errors import ArgumentError

_LEAKAGE_W = (1e-9, 1e4)


def accelerator_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--accelerator, --equal-area and --leakage, handed over as one `on_accelerators`."""

    @functools.wraps(function)
    def gathered(
        *, accelerators: tuple[str, ...], same_area: bool, leakage: str | None, **others: Any
    ) -> Any:
        if not accelerators and (same_area or leakage is not None):
            given = "--equal-area" if same_area else "--leakage"
            raise ArgumentError(f"{given} needs an accelerator", "name one, such as --accelerator tpu-like")
        from addercost.analysis.accelerators import WantedAccelerators

        wanted = WantedAccelerators(tuple(dict.fromkeys(accelerators)), same_area, _watts(leakage))
        return function(on_accelerators=wanted, **others)

    decorators = (
        click.option(
            "--accelerator",
            "accelerators",
            multiple=True,
            metavar="NAME",
            help="Accelerator to estimate for, such as tpu-like; repeatable.",
            shell_complete=complete_accelerator,
        ),
        click.option(
            "--equal-area",
            "same_area",
            is_flag=True,
            help="With --accelerator: as many elements as fit in the area of its multiply-add elements.",
        ),
        click.option(
            "--leakage",
            metavar="POWER",
            help="With --accelerator: what the chip takes at rest, such as 50mW, for as long as it runs.",
        ),
    )
    decorated: Callable[..., Any] = gathered
    for decorator in reversed(decorators):
        decorated = decorator(decorated)
    return decorated


def _watts(text: str | None) -> float:
    if text is None:
        return 0.0
    from addercost.cost.target_settings import quantity

    return quantity(text, "leakage", "W", _LEAKAGE_W, "50mW")
