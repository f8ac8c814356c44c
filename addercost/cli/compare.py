"""`addercost compare SPEC…`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.arithmetic import Arithmetic
from addercost.cli.emit import check_output, emit_table
from addercost.cli.estimates import Estimates, estimate_options
from addercost.cli.options import (
    accelerator_options,
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
from addercost.errors import ArgumentError

if TYPE_CHECKING:
    from addercost.results.profile import Profile


@click.command(cls=SpecCommand)
@spec_argument("specs", nargs=-1, required=True, metavar="SPEC...")
@input_option
@batches_option
@backward_option
@fuse_attention_option
@convention_option
@arithmetics_option(
    f"Arithmetics to compare, from {', '.join(Arithmetic)}; ratios are to the first.", "mac,adder,xnor"
)
@what_ifs_option("One more row")
@keep_first_last_option
@estimate_options
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
    accelerators: tuple[str, ...],
    same_area: bool,
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

    from addercost.hardware import load_accelerator, load_energy

    if same_area and not accelerators:
        raise ArgumentError("--equal-area needs an accelerator", "name one, such as --accelerator tpu-like")
    path = estimates.hardware_path
    arrays = [load_accelerator(name, path) for name in dict.fromkeys(accelerators)]
    with_energies = [(array, load_energy(array.energy_table, path)) for array in arrays]

    sizes = parsed_batches(batches)

    from addercost.analysis.accelerators import accelerator_costs
    from addercost.analysis.comparison import Comparison
    from addercost.api import profile, trace_batches
    from addercost.report.tables.accelerator import with_accelerators
    from addercost.report.tables.batches import batches_table
    from addercost.report.tables.comparison import comparison_table

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
            profiles[size] += [
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
    tables = {}
    for size, made in profiles.items():
        on_arrays = [accelerator_costs(item.counts, with_energies, same_area) for item in made]
        tables[size] = with_accelerators(comparison_table(Comparison(tuple(made))), on_arrays)
    if len(tables) == 1:
        (table,) = tables.values()
    else:
        ways = "; ".join(f"{', '.join(named)}: {way}" for way, named in how.items())
        table = batches_table(tables, ways if len(how) > 1 else next(iter(how)))
    emit_table(table, table_format, output, force)
