"""What a command estimates on: processors, cost models, energy tables; declared and checked once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from addercost.cli.options import chosen_cpus, energy_option_with, hardware_path_option
from addercost.cli.processors import cpu_option
from addercost.cost.models import cost_model_named, listed_models, usable_model
from addercost.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Estimates:
    """The names a user gave; the fields are keyword arguments of `addercost.profile`.

    cost_models: empty for each processor's default.
    """

    cpus: tuple[str, ...]
    cost_models: tuple[str, ...]
    energy: tuple[str, ...]
    memories: tuple[str, ...]
    hardware_path: Path | None
    kernels: Path | None
    accumulator_format: str | None = None

    def check(self) -> None:
        """Wrong names fail here, before torch is imported. Raises ArgumentError or DataError."""
        from addercost.cost.target_registry import load_target
        from addercost.hardware import load_energy

        for name in self.cost_models:
            cost_model_named(name)
        for name in self.cpus:
            target = load_target(name, self.hardware_path, self.kernels)
            for model in self.cost_models:
                usable_model(model, target)
        for option, given in (("--memory", self.memories), ("--accumulator", self.accumulator_format)):
            if given and not self.energy:
                raise ArgumentError(
                    f"{option} changes an estimate of energy", "give --energy too: 45nm or 7nm"
                )
        for name in self.energy:
            load_energy(name, self.hardware_path)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `addercost.profile`."""
        return {name: getattr(self, name) for name in self.__slots__}


def estimate_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--cpu, --cost-model, --energy, --memory and --hardware-path, handed over as one `estimates`."""

    @functools.wraps(function)
    def gathered(
        *,
        cpus: tuple[str, ...],
        cost_models: tuple[str, ...],
        energy: tuple[str, ...],
        memories: tuple[str, ...],
        hardware_path: Path | None,
        kernels: Path | None,
        accumulator_format: str | None,
        **others: Any,
    ) -> Any:
        models = tuple(dict.fromkeys(cost_models))
        estimates = Estimates(
            chosen_cpus(cpus), models, energy, memories, hardware_path, kernels, accumulator_format
        )
        return function(estimates=estimates, **others)

    decorators = (
        cpu_option,
        click.option(
            "--cost-model",
            "cost_models",
            multiple=True,
            metavar="NAME",
            help=listed_models("the paper's, default; of GPUs eager") + "; repeatable.",
        ),
        energy_option_with("Energy table, such as 45nm; repeatable."),
        click.option(
            "--memory",
            "memories",
            multiple=True,
            metavar="LEVEL",
            help="With --energy: charge a memory level of its table, such as dram, per byte; repeatable.",
        ),
        click.option(
            "--accumulator",
            "accumulator_format",
            type=click.Choice(["int8", "int16", "int32", "fp16", "fp32"]),
            help="With --energy: charge the accumulations of layers at this width, and nothing else.",
        ),
        hardware_path_option,
        click.option(
            "--kernels",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="For calibrated: kernels that were timed by `addercost calibrate --kernels`, borrowed if "
            "they are of another machine, thread count or torch.",
        ),
    )
    decorated: Callable[..., Any] = gathered
    for decorator in reversed(decorators):
        decorated = decorator(decorated)
    return decorated
