"""`addercost rank SPEC`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.cli.accelerators import accelerator_options
from addercost.cli.completion import complete_cost_model
from addercost.cli.emit import check_output, emit_table
from addercost.cli.estimates import kernels_option
from addercost.cli.options import (
    alternative_option,
    convention_option_with,
    hardware_path_option,
    input_option,
    keep_first_last_option,
    output_options,
    parsed_inputs,
    quiet_option,
    what_if_option,
)
from addercost.cli.processors import cpus_option
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.cost.models import PAPER_MODEL, RANKING_MODELS, cost_model_named, usable_model
from addercost.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addercost.analysis.accelerators import WantedAccelerators
    from addercost.cost.target import Target

# The paper's rule answers another question; `--cost-model` selects it.
(_DEFAULT_MODEL,) = (name for name in RANKING_MODELS if name != PAPER_MODEL)


@click.command(cls=SpecCommand)
@spec_argument("spec")
@input_option
@convention_option_with("macs")
@alternative_option("The arithmetic to order by:")
@what_if_option
@keep_first_last_option
@click.option("--int8", is_flag=True, help="Add int8 forms of the convolution and of the adder layer.")
@click.option(
    "--cost-model",
    "models",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_cost_model,
    help=f"Cost model; repeatable. Default: {_DEFAULT_MODEL}, for which every table has figures.",
)
@cpus_option("Only this processor or device; repeatable. Default: every CPU with a table of its own.")
@accelerator_options
@click.option("--top", type=click.IntRange(min=1), help="Only so many processors of each cost model.")
@hardware_path_option
@kernels_option
@output_options
@quiet_option
def rank(
    spec: str,
    inputs: tuple[str, ...],
    convention: str,
    arithmetic: str,
    what_if: tuple[str, ...],
    keep_first_last: bool,
    int8: bool,
    models: tuple[str, ...],
    cpus: tuple[str, ...],
    on_accelerators: WantedAccelerators,
    top: int | None,
    hardware_path: Path | None,
    kernels: Path | None,
    table_format: str,
    output: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Order processors by what another arithmetic would gain over multiply-add.

    A --gpu and an --accelerator are ranked beside them. Cores that are modelled as another, and devices, are
    ranked by name.

    Every row is estimated by the same rule. --cost-model latency-sum is the paper's, in which every operation
    waits for the one before.

    The default convention counts MAC sites only: most tables have no latency for exp or a division.
    """
    from addercost.cost.formats import as_int8
    from addercost.cost.rank import rank_processors
    from addercost.cost.target_registry import all_targets, load_target
    from addercost.counts.conventions import convention_named
    from addercost.report.tables.rank import rank_table

    check_output(output, force)
    convention_named(convention)
    chosen = tuple(dict.fromkeys(models)) or (_DEFAULT_MODEL,)
    for name in chosen:
        cost_model_named(name)
    named = [load_target(name, hardware_path, kernels) for name in dict.fromkeys(cpus)]
    targets, problems = all_targets(hardware_path)
    if any(target.device_class != "gpu" for target in named):
        targets, problems = [], []
    targets += named
    on_accelerators.check(hardware_path)
    if kernels is not None and not named:
        raise ArgumentError("--kernels is of a --cpu, and none is named", "name the processor")
    _require_figures(chosen, targets)
    for problem in problems:
        click.echo(problem, err=True)

    from addercost.analysis.accelerators import accelerator_ranks
    from addercost.api import trace_spec
    from addercost.counts.model import count

    with progress(f"tracing {spec}", quiet):
        trace = trace_spec(spec, parsed_inputs(inputs))
    # The alternative is compared with multiply-adds in every layer, even where the model has other layers.
    names = list(dict.fromkeys(("mac", arithmetic, "adder", "xnor")))
    counts = {
        name: count(trace, convention, arithmetic=name, what_if=what_if, keep_first_last=keep_first_last)
        for name in names
    }
    counted: dict[str, object] = dict(counts)
    if int8:
        counted |= {f"int8-{name}": as_int8(counts[name]) for name in ("mac", "adder")}
    rows = rank_processors(counted, targets, alternative=arithmetic, models=chosen)  # type: ignore[arg-type]
    rows += accelerator_ranks(counts, list(counted), on_accelerators, arithmetic, hardware_path)
    alternatives = [name for name in counted if name != "mac"]
    processors = "1 processor" if len(targets) == 1 else f"{len(targets)} processors"
    title = f"{trace.model}: {arithmetic} against mac on {processors}, {convention} convention"
    if what_if:
        title += f", after {', '.join(what_if)}"
    if on_accelerators.names:
        title += f"; on {', '.join(on_accelerators.names)} as well"
    caveats = {target.name: "; ".join(target.caveats) for target in targets}
    emit_table(rank_table(rows, alternatives, title, caveats, top), table_format, output, force)


def _require_figures(models: Sequence[str], targets: Sequence[Target]) -> None:
    """Raises ArgumentError for a cost model that lacks figures for all processors."""
    for name in models:
        if not targets or any(not cost_model_named(name).unusable(target) for target in targets):
            continue
        if len(targets) == 1:
            usable_model(name, targets[0])
        raise ArgumentError(
            f"{name} has figures for none of the {len(targets)} processors",
            f"name some that it has figures for: {name} on {targets[0].name} fails because "
            f"{cost_model_named(name).unusable(targets[0])}",
        )
