"""`addercost plot KIND INPUT… -o FILE`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.analysis.subjects import CPUS, ENERGY_TABLES
from addercost.cli.accelerators import accelerator_options
from addercost.cli.completion import complete_plot_kind
from addercost.cli.emit import check_output, emit_table
from addercost.cli.estimates import Estimates, always, cpus_were_named, estimate_options
from addercost.cli.gather import Gathered, gather, wanted_by
from addercost.cli.help import is_everything
from addercost.cli.options import (
    arithmetics_option,
    convention_option,
    debug_option,
    force_option,
    input_option,
    keep_first_last_option,
    output_option,
    quiet_option,
    was_given,
    what_ifs_option,
    width_option,
)
from addercost.cli.plot_sweep import SWEPT_KINDS, draw_sweep, is_sweep
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.errors import ArgumentError
from addercost.report.plots.kinds import KINDS, PlotKind, Takes, plot_kind

if TYPE_CHECKING:
    from addercost.analysis.accelerators import WantedAccelerators
    from addercost.report.plots.style import Drawn, FigureFormat, PlotOptions

_KINDS_HELP = "\n".join(f"  {name:22}{kind.summary}" for name, kind in KINDS.items())


class _PlotCommand(SpecCommand):
    """A command whose help ends with the kinds of plot: grouped by the data that they need, or each with a
    description.
    """

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if is_everything(ctx):
            super().format_epilog(ctx, formatter)
            return
        with formatter.section("KIND"):
            formatter.write_dl(
                [
                    ("of a model", _kinds(Takes.MODEL)),
                    ("of measurements", _kinds(Takes.MEASUREMENTS)),
                    ("of training", _kinds(Takes.TRAINING, Takes.ACCURACIES)),
                    ("of a sweep", ", ".join(SWEPT_KINDS)),
                ]
            )


def _kinds(*takes: Takes) -> str:
    return ", ".join(name for name, kind in KINDS.items() if kind.takes in takes)


@click.command(cls=_PlotCommand, epilog=f"\b\nKinds:\n{_KINDS_HELP}")
@click.argument("kind", shell_complete=complete_plot_kind)
@spec_argument("inputs_of_plot", nargs=-1, metavar="SPEC|FILE...")
@input_option
@convention_option
@arithmetics_option("Arithmetics to draw.", "mac,adder,xnor")
@what_ifs_option("One more network beside them")
@keep_first_last_option
@estimate_options(always(*CPUS), ENERGY_TABLES)
@accelerator_options
@width_option("single for a paper's column; default: double, its page.")
@click.option(
    "--top", type=click.IntRange(min=2), default=40, show_default=True, help="Rows or bars at most."
)
@click.option("--share", is_flag=True, help="breakdown: shares of each layer in place of counts.")
@click.option(
    "--by", metavar="BASIS", help="icicle, pareto: operations, cycles@CPU; energy@TABLE for pareto."
)
@click.option("--x", metavar="METRIC", help="Of a sweep, across: cycles@CPU, energy_j@TABLE or a column.")
@click.option("--y", metavar="METRIC", help="Of a sweep, upwards; accuracy by default.")
@click.option("--dataset", metavar="NAME", help="pareto: MNIST, CIFAR-10, CIFAR-100, ImageNet or a record's.")
@click.option("--no-caption", is_flag=True, help="Leave out the line below the figure.")
@output_option("FILE.svg, FILE.pdf or FILE.png.")
@click.option("--show", is_flag=True, help="Open a window, or print a chart where there is no display.")
@force_option()
@debug_option
@quiet_option
def plot(
    kind: str,
    inputs_of_plot: tuple[str, ...],
    inputs: tuple[str, ...],
    convention: str,
    arithmetics: str,
    what_ifs: tuple[str, ...],
    keep_first_last: bool,
    estimates: Estimates,
    on_accelerators: WantedAccelerators,
    width: str,
    top: int,
    share: bool,
    by: str | None,
    x: str | None,
    y: str | None,
    dataset: str | None,
    no_caption: bool,
    output: Path | None,
    show: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Draw one figure for a paper: vector output, embedded fonts, the same bytes for the same input.

    SPEC is a model as for `profile`; FILE is a trace, profile, report, measurements, training record or the
    folder of a sweep.
    """
    chosen = plot_kind(kind)
    check_output(output, force)
    file_format = figure_format_of(output)
    if output is None and not show:
        raise ArgumentError("nowhere to draw to", "give -o FILE.svg, or --show")

    from addercost.report.plots.style import PlotOptions

    options = PlotOptions(width, top, share, by, not no_caption)
    if is_sweep(inputs_of_plot):
        if kind not in SWEPT_KINDS:
            raise ArgumentError(f"{kind} is not drawn from a sweep", f"try {', '.join(SWEPT_KINDS)}")
        named_arithmetics = arithmetics.split(",") if was_given("arithmetics") else ()
        drawn = draw_sweep(kind, Path(inputs_of_plot[0]), x or by, y, named_arithmetics, options)
        _deliver(drawn, output, file_format, show, force)
        return
    if x is not None or y is not None:
        raise ArgumentError("--x and --y are of a sweep", "name its folder")
    on_accelerators.check(estimates.hardware_path)
    wanted = wanted_by(estimates, convention, arithmetics, keep_first_last, what_ifs)
    wanted = replace(wanted, accelerators=on_accelerators)
    given = was_given("convention")
    found = gather(inputs_of_plot, wanted, inputs, given, cpus_were_named(), quiet)
    named = estimates.cpus[0] if cpus_were_named() and estimates.cpus else None
    drawn = _drawn(kind, chosen, found, options, named, dataset, estimates)
    _deliver(drawn, output, file_format, show, force)


def _deliver(
    drawn: Drawn, output: Path | None, file_format: FigureFormat | None, show: bool, force: bool
) -> None:
    """Writes the figure, shows it, or both."""
    from addercost.report.plots.style import figure_bytes

    if output is not None and file_format is not None:
        from addercost.results.files import write_file

        write_file(output, figure_bytes(drawn, file_format), force)
    if show and not _window(drawn):
        from addercost.report.plots.terminal_chart import with_bars

        emit_table(with_bars(drawn), "table", None, force)


def figure_format_of(output: Path | None) -> FigureFormat | None:
    from addercost.report.plots.style import FigureFormat

    if output is None:
        return None
    suffix = output.suffix.lower().removeprefix(".")
    if suffix not in list(FigureFormat):
        raise ArgumentError(f"{output.name} names no figure format", f"end it in .{', .'.join(FigureFormat)}")
    return FigureFormat(suffix)


def _drawn(
    name: str,
    kind: PlotKind,
    found: Gathered,
    options: PlotOptions,
    cpu: str | None,
    dataset: str | None,
    estimates: Estimates,
) -> Drawn:
    from addercost.report.plots.kinds import draw_measured, draw_model, draw_training

    match kind.takes:
        case Takes.MODEL:
            _only(name, kind, found.subjects, len(found.measurements) + len(found.runs))
            return draw_model(name, found.subjects[0], options, cpu)
        case Takes.MEASUREMENTS:
            # A report may have models as well as measurements; the models are not needed here.
            _only(name, kind, found.measurements, len(found.runs))
            return draw_measured(name, found.measurements[0], options)
        case Takes.TRAINING:
            _refuse_others(name, kind, len(found.subjects) + len(found.measurements))
            if not found.runs:
                raise ArgumentError(f"{name} needs {kind.takes}", "name at least one")
            return draw_training(name, found.runs, options)
        case Takes.SWEEP:
            raise ArgumentError(f"{name} needs {kind.takes}", "make one: addercost sweep SPACE -o DIR")
        case Takes.ACCURACIES:
            from addercost.analysis.pareto import pareto
            from addercost.api import trace_spec
            from addercost.report.plots import pareto as figure

            _refuse_others(name, kind, len(found.subjects) + len(found.measurements))
            cost_model = next(iter(estimates.cost_models), None)
            points = pareto(
                found.runs, trace_spec, options.basis, dataset, cost_model, estimates.hardware_path
            )
            return figure.draw(points, options)


def _only(name: str, kind: PlotKind, fitting: Sequence[object], others: int) -> None:
    _refuse_others(name, kind, others)
    if len(fitting) != 1:
        raise ArgumentError(f"{name} shows one thing, {len(fitting)} fit", f"give it {kind.takes}")


def _refuse_others(name: str, kind: PlotKind, others: int) -> None:
    if others:
        raise ArgumentError(f"{name} is drawn from {kind.takes}; {others} of the inputs are something else")


def _window(drawn: Drawn) -> bool:
    """Shows the figure in a window and waits until it is closed; False where there is no display for one."""
    has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not has_display:
        return False
    try:
        from matplotlib import pyplot

        holder = pyplot.figure(figsize=drawn.figure.get_size_inches())
        manager = holder.canvas.manager
        if manager is None or pyplot.get_backend().lower() == "agg":
            return False
        # Only pyplot opens windows. Each has its own figure, which is replaced by ours.
        manager.canvas.figure = drawn.figure
        drawn.figure.set_canvas(manager.canvas)
        drawn.figure.set_facecolor("white")
        pyplot.show()
    except (ImportError, RuntimeError):
        return False
    return True
