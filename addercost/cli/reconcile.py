"""`addercost reconcile SPEC`."""

from __future__ import annotations

from pathlib import Path

import click

from addercost.cli.emit import check_output, emit_table
from addercost.cli.options import input_option, output_options, parsed_inputs, quiet_option
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument


@click.command(cls=SpecCommand)
@spec_argument("spec")
@input_option
@output_options
@quiet_option
def reconcile(
    spec: str,
    inputs: tuple[str, ...],
    table_format: str,
    output: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Explain what other tools report for a model: one row each, by its rules, and why it differs.

    thop, fvcore, ptflops, torchinfo, torch's FlopCounterMode, and what torchvision publishes.
    """
    from addercost.api import trace_spec
    from addercost.counts.reconcile import reconcile as reconcile_tools
    from addercost.report.tables.reconcile import reconcile_table

    check_output(output, force)
    with progress(f"tracing {spec}", quiet):
        trace = trace_spec(spec, parsed_inputs(inputs))
    emit_table(
        reconcile_table(trace.model, reconcile_tools(trace), _published(spec)), table_format, output, force
    )


def _published(spec: str) -> float | None:
    """Multiply-adds in G that the model's authors publish, None where they publish none."""
    from addercost.sources.registry import kind_of

    catalogue = kind_of(spec).catalogue
    return catalogue.published_gmacs(spec.partition(":")[2]) if catalogue is not None else None
