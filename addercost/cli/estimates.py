"""The options for estimates (processors, cost models, energy tables), declared, checked and applied in one
place.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addercost.cli.completion import complete_cost_model, complete_memory
from addercost.cli.help import BriefOption
from addercost.cli.options import Option, energy_option_with, hardware_path_option, was_given
from addercost.cli.processors import cpus_option
from addercost.cost.models import DEFAULT_MODELS, cost_model_named, listed_models, usable_model
from addercost.errors import AddercostError, ArgumentError

if TYPE_CHECKING:
    from addercost.cost.accelerator.estimate import AcceleratorCost
    from addercost.cost.energy import ModelEnergy
    from addercost.cost.estimate import ModelCost
    from addercost.cost.target import Target
    from addercost.counts.model import ModelCounts
    from addercost.hardware import Accelerator, EnergyTable


@dataclass(frozen=True, slots=True)
class DefaultCpus:
    """The processors on which a command estimates where the user names none, and the words for them in its
    help.

    spare: the processor that is used where the cost models named by the user have figures for none of the
    others.
    """

    names: Callable[[Path | None], tuple[str, ...]]
    text: str
    spare: tuple[str, ...] = ()

    def that_suit(self, cost_models: tuple[str, ...], hardware_path: Path | None) -> tuple[str, ...]:
        """The processors for which all these models have figures, else the spare one. Where there is none,
        all processors, so that the error for the first says what it lacks.
        """
        names = self.names(hardware_path)
        check_cost_models(cost_models)
        if not cost_models:
            return names
        from addercost.cost.target_registry import load_target

        def suits(name: str) -> bool:
            target = load_target(name, hardware_path)
            return not any(cost_model_named(model).unusable(target) for model in cost_models)

        return tuple(filter(suits, names)) or tuple(filter(suits, self.spare)) or names


def _calibrated_here(hardware_path: Path | None) -> tuple[str, ...]:
    from addercost.api import default_cpus

    return default_cpus(hardware_path)


def always(*names: str, what: str = "", spare: tuple[str, ...] = ()) -> DefaultCpus:
    """Default processors that are the same on every machine. what: words before their names."""
    otherwise = f", or {' and '.join(spare)} where --cost-model needs what it lacks" if spare else ""
    return DefaultCpus(lambda _: names, f"{what}{' and '.join(names)}{otherwise}", spare)


THIS_MACHINE = DefaultCpus(_calibrated_here, "this machine, if it is calibrated")


@dataclass(frozen=True, slots=True)
class Estimates:
    """The names that the user gave. The fields are keyword arguments of `addercost.profile`.

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
        """Raises ArgumentError or DataError for wrong names, before torch is imported."""
        from addercost.cost.target_registry import load_target
        from addercost.hardware import load_energy
        from addercost.hardware.loader import user_folder

        check_cost_models(self.cost_models)
        user_folder(self.hardware_path)
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

    def costs(self, counts: ModelCounts) -> tuple[ModelCost, ...]:
        """The same with cost models that have figures for every arithmetic, so that changed networks can be
        compared.
        """
        from addercost.cost.estimate import estimate
        from addercost.cost.target_registry import load_target

        targets = [load_target(name, self.hardware_path, self.kernels) for name in self.cpus]
        return tuple(
            estimate(counts, target, model) for target in targets for model in self.cost_models or (None,)
        )


def caveats_of(
    estimates: Iterable[ModelCost | ModelEnergy | AcceleratorCost], hardware_path: Path | None
) -> dict[str, tuple[str, ...]]:
    """Doubts about figures of the tables that estimates used, by the tables' names. A table of a saved
    profile may no longer exist; it has no doubts.
    """
    found: dict[str, tuple[str, ...]] = {}
    for item in estimates:
        try:
            caveats = _table_of(item, hardware_path).caveats
        except AddercostError:
            continue
        if caveats:
            found[item.hardware] = caveats
    return found


def _table_of(
    estimate: ModelCost | ModelEnergy | AcceleratorCost, hardware_path: Path | None
) -> Target | EnergyTable | Accelerator:
    from addercost.cost.accelerator.estimate import AcceleratorCost
    from addercost.cost.energy import ModelEnergy
    from addercost.cost.target_registry import load_target
    from addercost.hardware import load_accelerator, load_energy

    if isinstance(estimate, AcceleratorCost):
        return load_accelerator(estimate.hardware, hardware_path)
    if isinstance(estimate, ModelEnergy):
        return load_energy(estimate.hardware, hardware_path)
    return load_target(estimate.hardware, hardware_path)


def cpus_were_named() -> bool:
    """Whether the user of the current command named processors. Otherwise a saved profile's own are used."""
    return was_given("cpus") or was_given("gpus")


_NEEDS_A_MODEL = (
    "inputs",
    "batches",
    "backward",
    "fuse_attention",
    "tracer",
    "what_if",
    "density",
    "keep_first_last",
    "save_trace",
    "energy",
    "memories",
    "accumulator_format",
    "accelerators",
    "same_area",
    "leakage",
    "mapper",
    "kernels",
    "optimizer",
)


def refuse_changes(spec: str) -> None:
    """Raises ArgumentError for saved counts where an option would change the counts, or asks for another
    estimate without naming a processor.
    """
    given = _given(_NEEDS_A_MODEL)
    if given:
        raise ArgumentError(
            f"{spec} is counted already: {', '.join(given)} cannot change it", "name the model"
        )
    if not cpus_were_named() and (given := _given(("cost_models", "hardware_path"))):
        raise ArgumentError(
            f"{spec} has its estimates: {', '.join(given)} is of a --cpu", "name the processor"
        )


def _given(names: tuple[str, ...]) -> list[str]:
    command = click.get_current_context().command
    return [p.opts[0] for p in command.params if p.name in names and was_given(p.name)]


def check_cost_models(names: tuple[str, ...]) -> None:
    for name in names:
        cost_model_named(name)


def cost_models_option(default: str = DEFAULT_MODELS) -> Option:
    return click.option(
        "--cost-model",
        "cost_models",
        multiple=True,
        metavar="NAME",
        help=f"{listed_models()}; repeatable. Default: {default}.",
        shell_complete=complete_cost_model,
        cls=BriefOption,
        brief=f"roofline, throughput, …; repeatable. Default: {default.partition(':')[0]}.",
    )


def kernels_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--kernels",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="For calibrated: kernels that were timed by `addercost calibrate --kernels`, borrowed if they "
        "are of another machine, thread count or torch. --force borrows this machine's own nearest file.",
    )(function)


def estimate_options(
    default: DefaultCpus = THIS_MACHINE, energies: tuple[str, ...] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options --cpu, --cost-model, --energy, --memory and --hardware-path, which the command gets as one
    argument `estimates`.

    default: the processors where none is named. energies: the energy tables where none is named.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def gathered(
            *,
            cpus: tuple[str, ...],
            cost_models: tuple[str, ...],
            energy: tuple[str, ...],
            hardware_path: Path | None,
            kernels: Path | None,
            accumulator_format: str | None,
            memories: tuple[str, ...],
            **others: Any,
        ) -> Any:
            # An accelerator replaces the default processors, unless a cost model is named.
            instead = others.get("accelerators") and not cost_models
            names = without_none(cpus or (() if instead else default.that_suit(cost_models, hardware_path)))
            if kernels is None and others.get("force"):
                kernels = _borrowed_kernels(names, cost_models, hardware_path)
            estimates = Estimates(
                names,
                tuple(dict.fromkeys(cost_models)),
                without_none(energy or energies),
                memories,
                hardware_path,
                kernels,
                accumulator_format,
            )
            return function(estimates=estimates, **others)

        decorated: Callable[..., Any] = gathered
        for decorator in reversed(_decorators(default, energies)):
            decorated = decorator(decorated)
        return decorated

    return decorate


def _borrowed_kernels(
    cpus: tuple[str, ...], cost_models: tuple[str, ...], hardware_path: Path | None
) -> Path | None:
    """The nearest file of timed kernels, for a user who named `calibrated` on a target without a fitting
    file.
    """
    from addercost.cost.models import calibrated

    if calibrated.MODEL.name not in cost_models:
        return None
    from addercost.cost.calibrated.tables import nearest_file
    from addercost.cost.target_registry import load_target

    for target in (load_target(name, hardware_path) for name in cpus):
        if target.kernel_files and calibrated.MODEL.unusable(target):
            return nearest_file(target)
    return None


def _decorators(default: DefaultCpus, energies: tuple[str, ...]) -> tuple[Callable[[Any], Any], ...]:
    usual = f" Default: {' and '.join(energies)}." if energies else ""
    return (
        cpus_option(
            f"Processor or device to estimate on; repeatable. Default: {default.text}; `none` counts only."
        ),
        cost_models_option(),
        energy_option_with(f"Energy table, {'or none' if usual else 'such as 45nm'}; repeatable.{usual}"),
        memory_option,
        accumulator_option,
        hardware_path_option,
        kernels_option,
    )


memory_option = click.option(
    "--memory",
    "memories",
    multiple=True,
    metavar="LEVEL",
    help="With an energy table: charge a level of its memory, such as dram, per byte; repeatable.",
    shell_complete=complete_memory,
)

accumulator_option = click.option(
    "--accumulator",
    "accumulator_format",
    type=click.Choice(["int8", "int16", "int32", "fp16", "fp32"]),
    help="With an energy table: charge the accumulations of layers at this width, and nothing else.",
)


def without_none(names: tuple[str, ...]) -> tuple[str, ...]:
    """Each name once. The single name `none` gives no names."""
    return tuple(dict.fromkeys(name for name in names if name != "none"))
