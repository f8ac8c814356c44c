"""`addercost compare SPEC…`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.arithmetic import Arithmetic
from addercost.cli.accelerators import accelerator_options
from addercost.cli.emit import check_output, emit_table
from addercost.cli.estimates import Estimates, always, caveats_of, estimate_options
from addercost.cli.options import (
    arithmetics_option,
    backward_option,
    batches_option,
    convention_option,
    fuse_attention_option,
    input_option,
    keep_first_last_option,
    output_options,
    parsed_arithmetics,
    parsed_batches,
    parsed_inputs,
    quiet_option,
    what_ifs_option,
)
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.hardware.loader import PAPER_CPU

if TYPE_CHECKING:
    from addercost.analysis.accelerators import WantedAccelerators
    from addercost.results.profile import Profile


@click.command(cls=SpecCommand)
@spec_argument("specs", nargs=-1, required=True, metavar="SPEC...")
@input_option
@batches_option
@backward_option
@fuse_attention_option
@convention_option
@arithmetics_option(
    f"Arithmetics to compare, from {', '.join(Arithmetic)}; ratios are to the first.",
    "mac,adder,xnor",
    "Ratios are to the first.",
)
@what_ifs_option("One more row")
@keep_first_last_option
@estimate_options(always(PAPER_CPU, what="the paper's ", spare=("intel-skylake-x",)))
@accelerator_options
@output_options
@quiet_option
def compare(
    specs: tuple[str, ...],
    inputs: tuple[str, ...],
    batches: str | None,
    backward: bool,
    fuse_attention: bool,
    convention: str,
    arithmetics: str,
    what_ifs: tuple[str, ...],
    keep_first_last: bool,
    estimates: Estimates,
    on_accelerators: WantedAccelerators,
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

    on_accelerators.check(estimates.hardware_path)
    sizes = parsed_batches(batches)

    from addercost.analysis.comparison import Comparison
    from addercost.api import profile, trace_batches
    from addercost.report.tables.batches import batches_table
    from addercost.report.tables.comparison import comparison_table
    from addercost.report.tables.profile_notes import caveat_lines

    rows: list[tuple[Arithmetic | None, tuple[str, ...]]] = [(item, ()) for item in chosen]
    rows += [(None, tuple(text.split("+"))) for text in dict.fromkeys(what_ifs)]
    profiles: dict[int, list[Profile]] = {size: [] for size in sizes}
    how: dict[str, list[str]] = {}
    for spec in specs:
        with progress(f"tracing {spec}", quiet):
            traced = trace_batches(
                spec, sizes, parsed_inputs(inputs), backward, fuse_attention=fuse_attention, memory=True
            )
        how.setdefault(traced.how, []).append(spec)
        for size, trace in traced.traces.items():
            for arithmetic, changes in rows:
                made = profile(
                    trace,
                    convention=convention,
                    arithmetic=arithmetic,
                    what_if=changes,
                    keep_first_last=keep_first_last,
                    accelerators=on_accelerators,
                    **{**estimates.arguments(), "cpus": ()},
                )
                profiles[size].append(replace(made, costs=estimates.costs(made.counts)))
    tables = {size: comparison_table(Comparison(tuple(made))) for size, made in profiles.items()}
    if len(tables) == 1:
        (table,) = tables.values()
    else:
        ways = "; ".join(f"{', '.join(named)}: {way}" for way, named in how.items())
        table = batches_table(tables, ways if len(how) > 1 else next(iter(how)))
    compared = profiles[sizes[0]][0]
    doubts = caveat_lines(caveats_of((*compared.estimates, *compared.accelerators), estimates.hardware_path))
    emit_table(replace(table, notes=(*table.notes, *doubts)), table_format, output, force)
