"""`addercost check SPEC --max QUANTITY=AMOUNT`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addercost.cli.accelerators import accelerator_options
from addercost.cli.emit import emit
from addercost.cli.estimates import (
    Estimates,
    accumulator_option,
    cost_models_option,
    kernels_option,
    memory_option,
)
from addercost.cli.options import (
    arithmetic_option,
    convention_option,
    debug_option,
    format_option_with,
    hardware_path_option,
    input_option,
    keep_first_last_option,
    latex_width,
    parsed_inputs,
    quiet_option,
    was_given,
    what_if_option,
)
from addercost.cli.processors import one_cpu_option
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.errors import ArgumentError, CheckFailedError

if TYPE_CHECKING:
    from addercost.analysis.accelerators import WantedAccelerators
    from addercost.results.profile import Profile


_GITHUB = "github"


@click.command(cls=SpecCommand)
@spec_argument("spec")
@click.option(
    "--max",
    "limits",
    multiple=True,
    metavar="QUANTITY=AMOUNT",
    help="mul, add, … (operation classes), operations, macs, parameters, weight_bytes, peak_bytes, "
    "cycles@CPU (cycles, with --cpu), energy@TABLE, or either @ACCELERATOR; repeatable. Amounts like 1G, "
    "300_000, 2mJ.",
)
@input_option
@convention_option
@arithmetic_option("Every convolution and linear layer in this arithmetic:")
@what_if_option
@keep_first_last_option
@one_cpu_option("The processor that `--max cycles=AMOUNT` is of.")
@cost_models_option()
@memory_option
@accumulator_option
@accelerator_options
@hardware_path_option
@kernels_option
@format_option_with([_GITHUB], "github: annotations for a workflow.")
@debug_option
@quiet_option
def check(
    spec: str,
    limits: tuple[str, ...],
    inputs: tuple[str, ...],
    convention: str,
    arithmetic: str | None,
    what_if: tuple[str, ...],
    keep_first_last: bool,
    cpu: str | None,
    cost_models: tuple[str, ...],
    memories: tuple[str, ...],
    accumulator_format: str | None,
    on_accelerators: WantedAccelerators,
    hardware_path: Path | None,
    kernels: Path | None,
    table_format: str,
    quiet: bool,
) -> None:
    """Check a model against budgets; exit with 1 if one is exceeded, and name the layers that spend most.

    Counts and estimates have no noise, so this gate does not fail by chance. SPEC is a model as for
    `profile`, or a saved profile or report. A total that is only a lower bound is within no budget.
    """
    from addercost.analysis.budget import check_budgets, parse_budget
    from addercost.report.formats.github import github_annotations
    from addercost.report.formats.table_format import TableFormat, render
    from addercost.report.tables.budget import budget_table

    if not limits:
        raise ArgumentError("no budget given", "give --max, for example --max mul=1G")
    budgets = [parse_budget(text, cpu) for text in limits]
    arrays = on_accelerators.names
    for name in arrays:
        if not any(budget.cpu == name or budget.energy_table == name for budget in budgets):
            raise ArgumentError(
                f"--accelerator {name} is of a budget, and --max names none",
                f"add --max cycles@{name}=1M or energy@{name}=1mJ",
            )
    on_accelerators.check(hardware_path)
    cpus = _names((budget.cpu for budget in budgets), arrays)
    if len(cost_models) > 1:
        raise ArgumentError("a budget of cycles is of one cost model", "name one --cost-model")
    if cpu is not None and cpu not in cpus:
        raise ArgumentError("--cpu is of a budget of cycles, and --max names none", "add --max cycles=1M")
    tables = _names((budget.energy_table for budget in budgets), arrays)
    if (memories or accumulator_format) and not tables:
        raise ArgumentError(
            "--memory and --accumulator are of a budget of energy, and --max names none",
            "add --max energy@45nm=1mJ",
        )
    estimates = Estimates(cpus, cost_models, tables, memories, hardware_path, kernels, accumulator_format)
    estimates.check()
    counting = {
        "convention": convention,
        "arithmetic": arithmetic,
        "what_if": what_if,
        "keep_first_last": keep_first_last,
    }
    profile = _profile(spec, inputs, counting, estimates, on_accelerators, quiet)
    spendings = check_budgets(profile, budgets)

    def text(width: int | None, styled: bool) -> str:
        if table_format == _GITHUB:
            file = spec.partition(":")[0]
            return github_annotations(profile, spendings, file if Path(file).is_file() else None)
        return render(
            budget_table(profile, spendings), TableFormat(table_format), width, styled, latex_width()
        )

    emit(text, None, False)
    failed = [spending.budget.quantity for spending in spendings if not spending.is_within]
    if failed:
        raise CheckFailedError(
            f"{len(failed)} of {len(spendings)} budgets exceeded or unknown: {', '.join(failed)}"
        )


def _names(found: Iterable[str | None], arrays: tuple[str, ...]) -> tuple[str, ...]:
    """The names of processors or energy tables, each once, without names of accelerators."""
    return tuple(dict.fromkeys(name for name in found if name is not None and name not in arrays))


def _profile(
    spec: str,
    inputs: tuple[str, ...],
    counting: dict[str, Any],
    estimates: Estimates,
    on_accelerators: WantedAccelerators,
    quiet: bool,
) -> Profile:
    from addercost.sources.kind import ProfileRequest
    from addercost.sources.registry import kind_of

    load_profile = kind_of(spec).load_profile
    if load_profile is not None:
        given = {
            "--what-if": counting["what_if"],
            "--memory": estimates.memories,
            "--accumulator": estimates.accumulator_format,
            "--accelerator": on_accelerators.names,
        }
        for option, value in given.items():
            if value:
                raise ArgumentError(f"{spec} is counted already: {option} cannot change it", "name the model")
        counted_by = counting["convention"] if was_given("convention") else None
        return load_profile(
            spec,
            ProfileRequest(
                counted_by,
                counting["arithmetic"],
                estimates.cpus,
                estimates.cost_models,
                estimates.hardware_path,
            ),
        )
    from addercost.api import profile, trace_spec

    with progress(f"tracing {spec}", quiet):
        trace = trace_spec(spec, parsed_inputs(inputs), memory=True)
        return profile(trace, **counting, **estimates.arguments(), accelerators=on_accelerators)
