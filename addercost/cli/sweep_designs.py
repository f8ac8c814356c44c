"""`addercost sweep designs SPEC`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from addercost.arithmetic import Arithmetic
from addercost.cli.emit import check_output, emit_table
from addercost.cli.numbers import FiniteRange
from addercost.cli.options import (
    all_option,
    figure_option,
    hardware_path_option,
    input_option,
    output_options_with,
    parsed_inputs,
    quiet_option,
    width_option,
)
from addercost.cli.plot import figure_format_of
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.errors import ArgumentError, unknown_name

_DATAFLOWS = "weight-stationary,output-stationary,input-stationary"
_ELEMENTS = "mac,adder,xnor,shift,ternary"
_MOST_DESIGNS = 5_000_000
_LONGEST_SIDE = 65_536


@click.command(cls=SpecCommand, short_help="Print the accelerator designs no other beats.")
@spec_argument("spec")
@input_option
@click.option("--accelerator", default="tpu-like", show_default=True, help="Whose memories and clock.")
@click.option("--rows", default="8:256:8", show_default=True, metavar="SIZES", help="8,16,32 or 8:256:8.")
@click.option("--columns", default="8:256:8", show_default=True, metavar="SIZES", help="As --rows.")
@click.option("--dataflow", "dataflows", default=_DATAFLOWS, metavar="LIST", help=f"From {_DATAFLOWS}.")
@click.option("--element", "elements", default=_ELEMENTS, metavar="LIST", help=f"From {_ELEMENTS}.")
@click.option("--format-of-operands", "formats", default="int8,int16,fp32", show_default=True, metavar="LIST",
              help="From int8, int16, fp16, fp32.")  # fmt: skip
@click.option("--max-area", type=FiniteRange(min=0, min_open=True), metavar="MM2", help="Of the elements.")
@all_option("Print every design, not only those no other beats.")
@figure_option("Draw them: .svg, .pdf, .png.")
@width_option("Of the figure.")
@hardware_path_option
@output_options_with(has_width=False)
@quiet_option
def designs(
    spec: str,
    inputs: tuple[str, ...],
    accelerator: str,
    rows: str,
    columns: str,
    dataflows: str,
    elements: str,
    formats: str,
    max_area: float | None,
    show_all: bool,
    figure: Path | None,
    width: str,
    hardware_path: Path | None,
    table_format: str,
    output: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Cost a network on every array size × dataflow × element × format, and print the Pareto front.

    A design has the memories and the clock of --accelerator, and every layer runs on elements of its kind.
    Printed are those that no other of the same element and format beats in both time and energy: networks of
    other elements have other accuracies, which are not predicted.
    """
    from addercost.hardware import load_accelerator, load_energy
    from addercost.hardware.schema.accelerator import Dataflow, OperandFormat

    check_output(output, force)
    check_output(figure, force)
    base = load_accelerator(accelerator, hardware_path)
    table = load_energy(base.energy_table, hardware_path)
    chosen_dataflows = _named(dataflows, "dataflow", get_args(Dataflow))
    if base.structure == "vector":
        if not rows.strip() == "1":
            raise ArgumentError(f"{base.name} is a vector, which has one row", "give --rows 1")
        if chosen_dataflows != ("output-stationary",):
            raise ArgumentError(
                f"the lanes of {base.name} keep sums, which no other dataflow does",
                "give --dataflow output-stationary, or name a systolic array",
            )

    from addercost.cost.accelerator.designs import DesignSpace

    space = DesignSpace(
        base,
        _sizes(rows, "--rows"),
        _sizes(columns, "--columns"),
        chosen_dataflows,
        tuple(Arithmetic(name) for name in _named(elements, "element", tuple(Arithmetic))),
        _named(formats, "format", get_args(OperandFormat)),
    )
    if space.size > _MOST_DESIGNS:
        raise ArgumentError(
            f"{space.size:,} designs are more than {_MOST_DESIGNS:,}", "give fewer --rows or --columns"
        )
    figure_format = figure_format_of(figure)

    from addercost.analysis.accelerators import products_of
    from addercost.api import trace_spec
    from addercost.cost.accelerator.designs import costed_designs, fronts
    from addercost.counts.model import count
    from addercost.report.tables.designs import designs_table

    with progress(f"tracing {spec}", quiet):
        trace = trace_spec(spec, parsed_inputs(inputs))
    layers, unplaced = products_of(count(trace, "macs"))
    if unplaced and not quiet:
        click.echo(f"{unplaced:,} sites are in no matrix product and left out", err=True)
    with progress(f"costing {space.size:,} designs", quiet):
        found = costed_designs([product for _, of in layers for product in of], space, table)
    fits = found.energy_j >= 0
    if max_area is not None:
        fits = found.area_mm2 <= max_area
    best = fronts(found, fits)
    if not best:
        raise ArgumentError("no design has all figures and fits", "allow a larger --max-area or more formats")
    if figure is not None and figure_format is not None:
        from addercost.report.plots import designs as plot
        from addercost.report.plots.style import PlotOptions, figure_bytes
        from addercost.results.files import write_file

        drawn = plot.draw(trace.model, found, best, PlotOptions(width))
        write_file(figure, figure_bytes(drawn, figure_format), force)
    shown = [int(i) for i in fits.nonzero()[0]] if show_all else best
    emit_table(designs_table(trace.model, found, shown, not show_all), table_format, output, force)


def _named(text: str, what: str, known: tuple[str, ...]) -> tuple[Any, ...]:
    """The names of a comma-separated list. Raises ArgumentError for an unknown one."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in known:
            raise unknown_name(what, name, known)
    return names


def _sizes(text: str, option: str) -> tuple[int, ...]:
    """Sizes from 8,16,32 or from 8:256:8 (from the first to the second in steps of the third). Raises
    ArgumentError for any other text.
    """
    wrong = ArgumentError(
        f"{option} {text!r} are no sizes from 1 to {_LONGEST_SIDE:,}", "write 8,16,32 or 8:256:8"
    )
    parts = text.split(":") if ":" in text else text.split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
        raise wrong
    numbers = [int(part) for part in parts]
    if min(numbers) < 1 or max(numbers) > _LONGEST_SIDE or (":" in text and len(numbers) != 3):
        raise wrong
    if ":" not in text:
        return tuple(dict.fromkeys(numbers))
    first, last, step = numbers
    if last < first:
        raise wrong
    return tuple(range(first, last + 1, step))
