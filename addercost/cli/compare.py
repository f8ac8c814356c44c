"""`addercost compare SPEC…`."""

from __future__ import annotations

from pathlib import Path

import click

from addercost.arithmetic import Arithmetic
from addercost.cli.emit import check_output, emit_table
from addercost.cli.estimates import Estimates, estimate_options
from addercost.cli.options import (
    arithmetics_option,
    backward_option,
    convention_option,
    fuse_attention_option,
    input_option,
    keep_first_last_option,
    output_options,
    parsed_arithmetics,
    parsed_inputs,
    quiet_option,
    what_ifs_option,
)
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument


@click.command(cls=SpecCommand)
@spec_argument("specs", nargs=-1, required=True, metavar="SPEC...")
@input_option
@backward_option
@fuse_attention_option
@convention_option
@arithmetics_option(
    f"Arithmetics to compare, from {', '.join(Arithmetic)}; ratios are to the first.", "mac,adder,xnor"
)
@what_ifs_option("One more row")
@keep_first_last_option
@estimate_options
@output_options
@quiet_option
def compare(
    specs: tuple[str, ...],
    inputs: tuple[str, ...],
    backward: bool,
    fuse_attention: bool,
    convention: str,
    arithmetics: str,
    what_ifs: tuple[str, ...],
    keep_first_last: bool,
    estimates: Estimates,
    table_format: str,
    output: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Print models × arithmetics × processors side by side, with ratios.

    Every SPEC is traced once and counted again for each arithmetic. --input goes to all of them.
    """
    from addercost.counts.conventions import convention_named

    check_output(output, force)
    convention_named(convention)
    chosen = parsed_arithmetics(arithmetics)
    estimates.check()

    from addercost.analysis.comparison import Comparison
    from addercost.api import profile, trace_spec
    from addercost.report.tables.comparison import comparison_table

    profiles = []
    for spec in specs:
        with progress(f"tracing {spec}", quiet):
            trace = trace_spec(
                spec, parsed_inputs(inputs), backward, fuse_attention=fuse_attention, memory=True
            )
        rows: list[tuple[Arithmetic | None, tuple[str, ...]]] = [(item, ()) for item in chosen]
        rows += [(None, tuple(text.split("+"))) for text in dict.fromkeys(what_ifs)]
        profiles += [
            profile(
                trace,
                convention=convention,
                arithmetic=arithmetic,
                what_if=changes,
                keep_first_last=keep_first_last,
                **estimates.arguments(),
            )
            for arithmetic, changes in rows
        ]
    emit_table(comparison_table(Comparison(tuple(profiles))), table_format, output, force)
