"""`addercost sensitivity SPEC`."""

from __future__ import annotations

from pathlib import Path

import click

from addercost.cli.emit import check_output, emit_table
from addercost.cli.numbers import FiniteRange
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
from addercost.cli.processors import one_cpu_option
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.hardware.loader import PAPER_CPU


@click.command(cls=SpecCommand)
@spec_argument("spec")
@input_option
@convention_option_with("macs")
@alternative_option("What multiply-add is compared with:")
@what_if_option
@keep_first_last_option
@one_cpu_option("Processor.", PAPER_CPU)
@click.option(
    "--spread",
    type=FiniteRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="Half-width of a figure's range, relative to it, where its source gives none.",
)
@click.option("--draws", type=click.IntRange(1, 1_000_000), default=1000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@hardware_path_option
@output_options
@quiet_option
def sensitivity(
    spec: str,
    inputs: tuple[str, ...],
    convention: str,
    arithmetic: str,
    what_if: tuple[str, ...],
    keep_first_last: bool,
    cpu: str,
    spread: float,
    draws: int,
    seed: int,
    hardware_path: Path | None,
    table_format: str,
    output: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Move every latency over its range and print what that does to the advantage of another arithmetic."""
    from addercost.analysis.sensitivity import ratio_sensitivity
    from addercost.cost.target_registry import load_target
    from addercost.counts.conventions import convention_named
    from addercost.report.tables.sensitivity import sensitivity_table

    check_output(output, force)
    convention_named(convention)
    target = load_target(cpu, hardware_path)

    from addercost.api import trace_spec
    from addercost.counts.model import count

    with progress(f"tracing {spec}", quiet):
        trace = trace_spec(spec, parsed_inputs(inputs))
    one, other = (
        count(trace, convention, arithmetic=name, what_if=what_if, keep_first_last=keep_first_last).total
        for name in ("mac", arithmetic)
    )
    found = ratio_sensitivity(target, one, other, spread, draws, seed)
    table = sensitivity_table(trace.model, target, found, ("mac", arithmetic), spread, draws)
    emit_table(table, table_format, output, force)
