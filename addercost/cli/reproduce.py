"""`addercost reproduce latency | counts | accuracy | hardware | claims`."""

from __future__ import annotations

from pathlib import Path

import click

from addercost.cli.emit import check_output, emit_table
from addercost.cli.help import HelpGroup
from addercost.cli.options import output_options, quiet_option
from addercost.cli.progress import progress
from addercost.trace.record import Trace


@click.group(cls=HelpGroup)
def reproduce() -> None:
    """Recompute what the AdderNet paper (CVPR 2020) prints, published and computed side by side."""


@reproduce.command(short_help="LeNet-5-BN on the VIA Nano: 2.6M against 1.7M cycles.")
@output_options
@quiet_option
def latency(table_format: str, output: Path | None, force: bool, quiet: bool) -> None:
    """LeNet-5-BN on the VIA Nano: 2.6M cycles as a CNN against 1.7M as an AdderNet."""
    from addercost.hardware import load_cpu
    from addercost.hardware.loader import PAPER_CPU
    from addercost.report.tables.paper import latency_table

    check_output(output, force)
    with progress("tracing LeNet-5-BN", quiet):
        table = latency_table(_trace_zoo, load_cpu(PAPER_CPU))
    emit_table(table, table_format, output, force)


@reproduce.command(short_help="Operation counts of every network of the tables.")
@output_options
@quiet_option
def counts(table_format: str, output: Path | None, force: bool, quiet: bool) -> None:
    """Every network of the paper's tables: its printed operation count and ours."""
    from addercost.report.tables.paper import counts_table

    check_output(output, force)
    with progress("tracing the networks of the paper", quiet):
        table = counts_table(_trace_zoo)
    emit_table(table, table_format, output, force)


@reproduce.command(short_help="Accuracies of the tables, and ours on digits.")
@click.argument("runs", nargs=-1, metavar="[RUN...]", type=click.Path(path_type=Path))
@output_options
@quiet_option
def accuracy(
    runs: tuple[Path, ...], table_format: str, output: Path | None, force: bool, quiet: bool
) -> None:
    """The accuracies of the paper's tables, and ours on scikit-learn's digits. Nothing is trained.

    RUN is a folder of `addercost train`, or the record in it; its accuracy is listed below.
    """
    from addercost.errors import ArgumentError
    from addercost.report.tables.accuracy import reproduced_table
    from addercost.results.accuracies import digits_accuracies
    from addercost.results.saved import read_saved
    from addercost.results.training import TrainingRun

    check_output(output, force)
    own = []
    for path in runs:
        read = read_saved(path)
        if not isinstance(read, TrainingRun):
            raise ArgumentError(f"{path} is no training record", "name the folder of a run")
        own.append(read)
    emit_table(reproduced_table(digits_accuracies(), own), table_format, output, force)


@reproduce.command(short_help="Savings of published adder hardware.")
@output_options
def hardware(table_format: str, output: Path | None, force: bool) -> None:
    """What published adder hardware saves, beside what the tables give under several assumptions."""
    from addercost.report.tables.hardware_claims import hardware_table

    check_output(output, force)
    emit_table(hardware_table(), table_format, output, force)


@reproduce.command(short_help="Claims of other multiplication-free networks.")
@output_options
def claims(table_format: str, output: Path | None, force: bool) -> None:
    """What BitNet, L-Mul, ShiftAddLLM, T-MAC and others claim, beside sums from cited figures."""
    from addercost.report.tables.published_claims import published_claims_table

    check_output(output, force)
    emit_table(published_claims_table(), table_format, output, force)


def _trace_zoo(name: str) -> Trace:
    from addercost.api import trace_spec

    return trace_spec(f"zoo:{name}")
