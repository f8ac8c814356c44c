"""`addercost bench diff A.json B.json`."""

from __future__ import annotations

from pathlib import Path

import click

from addercost.cli.emit import check_output, emit_table
from addercost.cli.help import HelpCommand
from addercost.cli.measuring_options import parsed_share
from addercost.cli.options import output_options
from addercost.errors import CheckFailedError


@click.command(cls=HelpCommand, short_help="Say row by row whether B is faster or slower.")
@click.argument("before", metavar="A.json", type=click.Path(path_type=Path))
@click.argument("after", metavar="B.json", type=click.Path(path_type=Path))
@click.option(
    "--across-machines", is_flag=True, help="Environments may differ: compare ratios to references only."
)
@click.option("--fail-on", type=click.Choice(["slower"]), help="Exit with 1 if a row of B is slower.")
@click.option(
    "--margin", default="5%", show_default=True, metavar="SHARE", help="Smaller changes are not reported."
)
@output_options
def diff(
    before: Path,
    after: Path,
    across_machines: bool,
    fail_on: str | None,
    margin: str,
    table_format: str,
    output: Path | None,
    force: bool,
) -> None:
    """Print for every row of two benchmarks whether B is faster, slower, or one cannot tell."""
    from addercost.analysis.bench_diff import diff_benchmarks
    from addercost.measure.journal import read_measurements
    from addercost.report.tables.bench_diff import bench_diff_table
    from addercost.results.intervals import RatioOutcome

    check_output(output, force)
    one, two = read_measurements(before), read_measurements(after)
    found = diff_benchmarks(one, two, across_machines, parsed_share(margin, "--margin"))
    emit_table(bench_diff_table(found), table_format, output, force)
    slower = found.count(RatioOutcome.SLOWER)
    if fail_on and slower:
        raise CheckFailedError(f"--fail-on slower: {slower} of {len(found.rows)} rows are slower")
