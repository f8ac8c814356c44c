"""--accelerator and its settings, declared once for every command that estimates."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from addercost.cli.completion import complete_accelerator
from addercost.cli.help import BriefOption
from addercost.errors import ArgumentError

_LEAKAGE_W = (1e-9, 1e4)


def accelerator_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options --accelerator, --equal-area, --leakage and --mapper, which the command gets as one argument
    `on_accelerators`.
    """

    @functools.wraps(function)
    def gathered(
        *,
        accelerators: tuple[str, ...],
        same_area: bool,
        leakage: str | None,
        mapper: str | None,
        **others: Any,
    ) -> Any:
        settings = {
            "--equal-area": same_area,
            "--leakage": leakage is not None,
            "--mapper": mapper is not None,
        }
        given = next((option for option, is_given in settings.items() if is_given), None)
        if given is not None and not accelerators:
            raise ArgumentError(f"{given} needs an accelerator", "name one, such as --accelerator tpu-like")
        from addercost.analysis.accelerators import WantedAccelerators

        names = tuple(dict.fromkeys(accelerators))
        wanted = WantedAccelerators(names, same_area, _watts(leakage), mapper or "")
        return function(on_accelerators=wanted, **others)

    decorators = (
        click.option(
            "--accelerator",
            "accelerators",
            multiple=True,
            metavar="NAME",
            help="Accelerator to estimate for, such as tpu-like; repeatable. It replaces the default --cpu.",
            shell_complete=complete_accelerator,
            cls=BriefOption,
            brief="Accelerator, such as tpu-like; replaces default --cpu.",
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
        click.option(
            "--mapper",
            type=click.Choice(["zigzag"]),
            help="With --accelerator: a second estimate beside each, by a search over mappings.",
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
