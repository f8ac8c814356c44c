"""`addercost validate`: how far predictions are from times."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.cli.emit import emit_table
from addercost.cli.help import HelpCommand
from addercost.cli.measuring_options import (
    accept_noise_option,
    parsed_share,
    precision_option,
    threads_option,
    time_limit_option,
)
from addercost.cli.numbers import SecondsRange
from addercost.cli.options import (
    debug_option,
    folder_option,
    force_option,
    format_option,
    hardware_path_option,
    quiet_option,
)
from addercost.cli.processors import one_cpu_option
from addercost.errors import ArgumentError

if TYPE_CHECKING:
    from addercost.cost.target import Target
    from addercost.measure.journal import Entry
    from addercost.measure.plan import RowPlan
    from addercost.measure.session import BenchSettings
    from addercost.results.published_timings import TimingColumns
    from addercost.results.validation import Validation


@click.command(cls=HelpCommand)
@click.option(
    "--measured",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="Published timings, one row a network.",
)
@click.option(
    "--models",
    "patterns",
    metavar="PATTERNS",
    help="Times these networks on this machine, and layers of them: torchvision:*,zoo:* or nasbench201.",
)
@click.option("--column", metavar="NAME", help="The column with the time of a forward, or with the rate.")
@click.option("--unit", default="ms", show_default=True, help="Of that column: s, ms, us or samples/s.")
@click.option(
    "--model-column", default="model", show_default=True, metavar="NAME", help="The column with names."
)
@click.option("--machine", default="", metavar="TEXT", help="What published timings were measured on.")
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
@click.option(
    "--dtype",
    default="fp32",
    show_default=True,
    metavar="LIST",
    help="The format of published timings, fp32, fp16 or bf16; the formats in which layers are timed here. "
    "Networks run in the first of them; in int8 they are statically quantised.",
)
@click.option(
    "--layers",
    type=click.IntRange(min=0),
    default=60,
    show_default=True,
    metavar="N",
    help="With --models: so many of the shapes of layers are timed.",
)
@click.option(
    "--compile",
    "compiled",
    is_flag=True,
    help="With --models: networks run through torch.compile, and no layers are timed.",
)
@click.option(
    "--most-sites",
    default="6G",
    show_default=True,
    metavar="SITES",
    help="With --models: networks of more MAC sites are skipped.",
)
@click.option(
    "--again",
    "again_s",
    type=SecondsRange(min=0),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="With --models: rows that were timed while the machine was slow are timed again for so long in "
    "all; those that stay slow are left out of the scores. With --accept-noise all rows are timed again, and "
    "their runs are joined.",
)
@threads_option
@precision_option("2%", "Of each interval, with --models.")
@time_limit_option(1.0, "For one network or layer, with --models.")
@accept_noise_option
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
@force_option("Replace what is in DIR; take a table `host` of another processor as borrowed.")
@debug_option
@quiet_option
def validate(
    measured: Path | None,
    patterns: str | None,
    column: str | None,
    unit: str,
    model_column: str,
    machine: str,
    prefix: str,
    batch_column: str,
    size_column: str,
    where: tuple[str, ...],
    dtype: str,
    layers: int,
    compiled: bool,
    most_sites: str,
    again_s: float,
    threads: int,
    precision: str,
    time_limit_s: float,
    accept_noise: bool,
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
    them: a model that orders networks no better explains nothing. --models times networks and their layers
    on this machine in place of that.
    """
    share = parsed_share(precision)
    from addercost.analysis.validation import scored
    from addercost.cli.validate_outputs import document_in, write_validation
    from addercost.cost.models import COST_MODELS, cost_model_named
    from addercost.cost.target_registry import load_target
    from addercost.cost.target_settings import settings_text
    from addercost.hardware.loader import HOST
    from addercost.report.tables.validation import validation_table

    if (measured is None) == (patterns is None):
        what = "nothing to compare with" if measured is None else "--measured and --models"
        raise ArgumentError(what, "give --measured FILE.csv --column NAME, or --models zoo:*")
    one_core = measured is None and threads == 1
    usual = (
        model.name
        for model in COST_MODELS.values()
        if not (one_core and model.on_all_cores) and (compiled or not model.compiled)
    )
    for name in models:
        cost_model_named(name)
    here = HOST if threads == 1 else HOST + settings_text(None, None, threads)
    target = load_target(cpu or here, hardware_path)
    names = tuple(dict.fromkeys(models)) or tuple(
        name for name in usual if not cost_model_named(name).unusable(target)
    )
    if measured is not None:
        columns = _columns(measured, column, unit, model_column, batch_column, size_column, where)
        found = _published(
            measured,
            columns,
            machine,
            prefix,
            dtype,
            sample,
            target,
            names,
            document_in(folder, force),
            quiet,
        )
    else:
        notes = borrowed(cpu or here, hardware_path, force)
        settings = _settings(dtype, threads, share, time_limit_s, cpu or here, names, hardware_path)
        found = _timed(
            patterns or "",
            settings,
            sample,
            compiled,
            0 if compiled else layers,
            most_sites,
            again_s,
            accept_noise,
            target,
            names,
            notes,
            document_in(folder, force),
            quiet,
        )
    result = scored(found, anchor)
    if anchor and not any(score.scaled_by == anchor for score in result.scores):
        raise ArgumentError(f"the anchor {anchor} is not among the networks", "name one that was not skipped")
    if folder is not None:
        write_validation(result, folder, scores_only)
    emit_table(validation_table(result), table_format, None, False)


def _columns(
    measured: Path,
    column: str | None,
    unit: str,
    model: str,
    batch: str,
    size: str,
    where: tuple[str, ...],
) -> TimingColumns:
    from addercost.results.published_timings import TimingColumns

    if column is None:
        raise ArgumentError(f"no column of {measured} is named", "name that of the times with --column")
    return TimingColumns(column, unit, model, batch, size, _conditions(where))


def _published(
    measured: Path,
    columns: TimingColumns,
    machine: str,
    prefix: str,
    dtype: str,
    sample: int | None,
    target: Target,
    models: tuple[str, ...],
    document: Path | None,
    quiet: bool,
) -> Validation:
    from addercost.results.published_timings import read_timings

    timings = read_timings(measured, columns)

    from addercost.cli.validate_outputs import row_printer
    from addercost.measure.validation.published import chosen, published

    some = chosen(timings, sample)
    conditions = {
        **({"machine": machine} if machine else {}),
        "column": f"{columns.time} in {columns.unit}",
        "rows": f"{len(some)} of {len(timings)}",
        "dtype": dtype,
        **(columns.where or {}),
    }
    said = row_printer(len(some), quiet)
    return published(some, measured.name, prefix, target, models, conditions, dtype, document, said)


def _settings(
    dtypes: str,
    threads: int,
    precision: float,
    time_limit_s: float,
    cpu: str,
    models: tuple[str, ...],
    hardware_path: Path | None,
) -> BenchSettings:
    from addercost.arithmetic import Arithmetic
    from addercost.measure.session import BenchSettings

    return BenchSettings(
        arithmetics=(Arithmetic.MAC, Arithmetic.ADDER, Arithmetic.XNOR),
        dtypes=tuple(dict.fromkeys(name.strip() for name in dtypes.split(","))),
        threads=threads,
        precision=precision,
        time_limit_s=time_limit_s,
        cpus=(cpu,),
        cost_models=models,
        hardware_path=hardware_path,
    )


def borrowed(cpu: str, hardware_path: Path | None, force: bool) -> tuple[str, ...]:
    """A note where the table `host` is of another processor. Raises ArgumentError unless that is `force`d."""
    from addercost.cost.target_settings import split_name
    from addercost.hardware.loader import HOST
    from addercost.measure.predictions import other_processor

    other = other_processor(hardware_path) if split_name(cpu)[0] == HOST else ""
    if other and not force:
        raise ArgumentError(other, "run `addercost calibrate` here, or borrow that table with --force")
    return (f"borrowed: {other}",) if other else ()


def _timed(
    patterns: str,
    settings: BenchSettings,
    sample: int | None,
    compiled: bool,
    layers: int,
    most_sites: str,
    again_s: float,
    accept_noise: bool,
    target: Target,
    models: tuple[str, ...],
    notes: tuple[str, ...],
    document: Path | None,
    quiet: bool,
) -> Validation:
    from addercost.cli.validate_networks import named_networks
    from addercost.measure.contenders.contender import TENSOR_DTYPES
    from addercost.measure.validation.networks import Plan, timed, validation_of
    from addercost.measure.validation.quantized import INT8
    from addercost.units import parse_quantity

    try:
        most = parse_quantity(most_sites)
    except ValueError:
        raise ArgumentError(f"--most-sites {most_sites!r} is no number", "write it as 6G") from None
    dtype = next((name for name in settings.dtypes if name in (*TENSOR_DTYPES, INT8)), "fp32")
    if compiled and dtype == INT8:
        raise ArgumentError("networks are compiled in floating point", "leave int8 out of --dtype")
    plan = Plan(named_networks(patterns, sample, dtype, compiled), target, models, most, layers, document)
    timings = timed(plan, settings, _timing_printer(quiet), again_s, accept_noise)
    return validation_of(timings, plan, patterns, notes, accept_noise)


def _timing_printer(quiet: bool) -> Callable[[int, RowPlan, Entry | None], None]:
    """Prints a line on stderr for every network or layer that is done."""

    def print_row(number: int, plan: RowPlan, entry: Entry | None) -> None:
        if entry is not None and not quiet:
            from addercost.report.tables.timings import row_line

            print(f"[{number}] {row_line(entry)}", file=sys.stderr)

    return print_row


def _conditions(texts: tuple[str, ...]) -> Mapping[str, str]:
    """COLUMN=VALUE by column. Raises ArgumentError."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ArgumentError(f"--where {text!r} is no condition", "write it as COLUMN=VALUE")
        found[name] = value
    return found
