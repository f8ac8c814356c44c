"""Completions of a shell after an option: names of processors, tables, conventions, figures.

click calls these functions with the text typed so far. They read only names, without reading tables or
importing torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from addercost.hardware.loader import FOLDERS

ShellComplete = Callable[[click.Context, click.Parameter, str], list[str]]


def _completing(names: Callable[[click.Context], Iterable[str]]) -> ShellComplete:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        return [name for name in names(ctx) if name.startswith(incomplete)]

    return complete


def _completing_list(names: Callable[[click.Context], Iterable[str]]) -> ShellComplete:
    """Completes the last name of a comma-separated list. Names that are in the list already are not
    offered.
    """

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",")
        return [
            f"{before}{comma}{name}" for name in names(ctx) if name.startswith(last) and name not in taken
        ]

    return complete


def _tables(*kinds: str) -> Callable[[click.Context], Iterator[str]]:
    """The names of tables of these kinds, also those of --hardware-path."""

    def names(ctx: click.Context) -> Iterator[str]:
        from addercost.errors import AddercostError
        from addercost.hardware import list_hardware

        for kind in kinds:
            try:
                yield from (file.name for file in list_hardware(ctx.params.get("hardware_path"), kind))
            except AddercostError:
                return

    return names


def _processors(ctx: click.Context) -> Iterator[str]:
    from addercost.cost.target_registry import ENTRY_POINTS
    from addercost.extensions import entries
    from addercost.hardware.loader import HOST

    yield from (HOST, "none")
    yield from _tables("cpu", "core", "device")(ctx)
    yield from (entry.name for entry in entries(ENTRY_POINTS))


def _what_ifs(ctx: click.Context) -> Iterator[str]:
    from addercost.counts.what_if import ALTERNATIVES

    return (item.example.removesuffix("FILE") for item in ALTERNATIVES.values())


def _conventions(ctx: click.Context) -> Iterable[str]:
    from addercost.counts.conventions import CONVENTIONS

    return CONVENTIONS


def _arithmetics(ctx: click.Context) -> Iterable[str]:
    from addercost.arithmetic import Arithmetic

    return (item.value for item in Arithmetic)


def _cost_models(ctx: click.Context) -> Iterable[str]:
    from addercost.cost.models import COST_MODELS

    return COST_MODELS


def _plot_kinds(ctx: click.Context) -> Iterable[str]:
    from addercost.report.plots.kinds import KINDS

    return KINDS


def _levels(ctx: click.Context) -> Iterator[str]:
    """Memory levels of the energy tables that are named, or of all."""
    from addercost.hardware import load_energy

    chosen: Any = ctx.params.get("energy") or _tables("energy")(ctx)
    levels: dict[str, None] = {}
    for name in chosen:
        table = load_energy(name, ctx.params.get("hardware_path"))
        levels |= dict.fromkeys(item.memory for item in table.memories)
    return iter(levels)


complete_processor = _completing(_processors)
complete_table = _completing(_tables(*FOLDERS))
complete_gpu = _completing(_tables("gpu"))
complete_accelerator = _completing(_tables("accelerator"))
complete_energy = _completing(_tables("energy"))
complete_memory = _completing(_levels)
complete_convention = _completing(_conventions)
complete_arithmetics = _completing_list(_arithmetics)
complete_cost_model = _completing(_cost_models)
complete_what_if = _completing(_what_ifs)
complete_plot_kind = _completing(_plot_kinds)
