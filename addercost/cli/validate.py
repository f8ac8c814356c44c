"""`addercost validate`: how far predictions are from times."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.cli.emit import emit_table
from addercost.cli.options import (
    debug_option,
    folder_option,
    force_option,
    format_option,
    hardware_path_option,
    one_cpu_option,
    quiet_option,
)
from addercost.errors import ArgumentError

if TYPE_CHECKING:
    from addercost.results.validation import Validation
    from addercost.results.validation_journal import Entry


@click.command()
@click.option(
    "--measured",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="Published timings, one row a network.",
)
@click.option("--column", metavar="NAME", help="The column with the time of a forward, or with the rate.")
@click.option("--unit", default="ms", show_default=True, help="Of that column: s, ms, us or samples/s.")
@click.option(
    "--model-column", default="model", show_default=True, metavar="NAME", help="The column with names."
)
@click.option("--prefix", default="", metavar="TEXT", help="What makes a SPEC of a name, such as timm:.")
@click.option("--batch-column", default="", metavar="NAME", help="Else the batch is 1.")
@click.option(
    "--size-column", default="", metavar="NAME", help="Pixels along an image; else the network's own."
)
@click.option(
    "--where",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Only rows with this value in that column; repeatable.",
)
@click.option("--dtype", default="fp32", show_default=True, metavar="NAME", help="fp32, fp16 or bf16.")
@click.option(
    "--sample", type=click.IntRange(min=3), metavar="N", help="So many of the rows, always the same."
)
@click.option(
    "--anchor",
    default="",
    metavar="NETWORK",
    help="Scale predictions so that this network's is exact. Default: by the median of half of the networks.",
)
@one_cpu_option("Table to predict by. Default: host, if this machine is calibrated.")
@click.option("--cost-model", "models", multiple=True, metavar="NAME", help="Default: all; repeatable.")
@hardware_path_option
@folder_option(
    "Writes validation.json, validation.md and validation.svg there; a killed run goes on from it."
)
@click.option(
    "--scores-only", is_flag=True, help="The JSON keeps no rows: for timings whose terms forbid a copy."
)
@format_option
@force_option("Replace what is in DIR.")
@debug_option
@quiet_option
def validate(
    measured: Path | None,
    column: str | None,
    unit: str,
    model_column: str,
    prefix: str,
    batch_column: str,
    size_column: str,
    where: tuple[str, ...],
    dtype: str,
    sample: int | None,
    anchor: str,
    cpu: str | None,
    models: tuple[str, ...],
    hardware_path: Path | None,
    folder: Path | None,
    scores_only: bool,
    table_format: str,
    force: bool,
    quiet: bool,
) -> None:
    """Say how far the predictions of each cost model are from times, and how well they order networks.

    --measured takes published timings from a CSV file. Each network is traced at its batch and size and
    costed by every cost model. The number of multiply-accumulate sites and of bytes moved stand beside
    them: a model that orders networks no better explains nothing.
    """
    from addercost.analysis.validation import scored
    from addercost.cost.models import COST_MODELS, cost_model_named
    from addercost.cost.target_registry import load_target
    from addercost.hardware.loader import HOST
    from addercost.report.tables.validation import validation_table
    from addercost.results.published_timings import Columns, read_timings

    if measured is None:
        raise ArgumentError("nothing to compare with", "give --measured FILE.csv --column NAME")
    if column is None:
        raise ArgumentError(f"no column of {measured} is named", "name that of the times with --column")
    columns = Columns(column, unit, model_column, batch_column, size_column, _conditions(where))
    names = tuple(dict.fromkeys(models)) or tuple(COST_MODELS)
    for name in names:
        cost_model_named(name)
    target = load_target(cpu or HOST, hardware_path)
    document = _document(folder, force)
    timings = read_timings(measured, columns)

    from addercost.measure.validation.published import chosen, published

    some = chosen(timings, sample)
    conditions = {
        "column": f"{column} in {unit}",
        "rows": f"{len(some)} of {len(timings)}",
        "dtype": dtype,
        **(columns.where or {}),
    }
    source = measured.name
    found = published(
        some, source, prefix, target, names, conditions, dtype, document, _progress(len(some), quiet)
    )
    result = scored(found, anchor)
    if anchor and not any(score.scaled_by == anchor for score in result.scores):
        raise ArgumentError(f"the anchor {anchor} is not among the networks", "name one that was not skipped")
    if folder is not None:
        _write(result, folder, scores_only)
    emit_table(validation_table(result), table_format, None, False)


def _conditions(texts: tuple[str, ...]) -> Mapping[str, str]:
    """COLUMN=VALUE by column. Raises ArgumentError."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ArgumentError(f"--where {text!r} is no condition", "write it as COLUMN=VALUE")
        found[name] = value
    return found


def _document(folder: Path | None, force: bool) -> Path | None:
    """The JSON file in the folder, which is made. Raises OutputError where it exists, unless `force`."""
    if folder is None:
        return None
    from addercost.results.files import check_target, make_folder
    from addercost.results.journal_lines import journal_path

    make_folder(folder)
    document = folder / "validation.json"
    if force:
        journal_path(document).unlink(missing_ok=True)
    check_target(document, force or journal_path(document).exists())
    return document


def _write(result: Validation, folder: Path, scores_only: bool) -> None:
    from dataclasses import replace

    from addercost.report.formats.table_format import TableFormat, render
    from addercost.report.plots import validation
    from addercost.report.plots.style import FigureFormat, PlotOptions, figure_bytes
    from addercost.report.tables.validation import validation_table
    from addercost.results.files import write_file
    from addercost.results.journal_lines import journal_path
    from addercost.results.validation import validation_to_json

    document = folder / "validation.json"
    figure = figure_bytes(validation.draw(result, PlotOptions()), FigureFormat.SVG)
    write_file(folder / "validation.svg", figure, force=True)
    text = render(validation_table(result), TableFormat.MARKDOWN, None, False)
    write_file(
        folder / "validation.md", f"{text}\n![predicted against measured](validation.svg)\n", force=True
    )
    kept = replace(result, rows=()) if scores_only else result
    write_file(document, validation_to_json(kept), force=True)
    journal_path(document).unlink(missing_ok=True)


def _progress(total: int, quiet: bool) -> Callable[[int, Entry], None]:
    """A line on stderr for every network that is skipped, and one for every 50."""

    def said(number: int, entry: Entry) -> None:
        from addercost.results.validation import SkippedRow
        from addercost.text import printable

        if quiet:
            return
        if isinstance(entry, SkippedRow):
            print(f"[{number}/{total}] {printable(entry.name)}: {printable(entry.reason)}", file=sys.stderr)
        elif number % 50 == 0:
            print(f"[{number}/{total}] {printable(entry.name)}", file=sys.stderr)

    return said
