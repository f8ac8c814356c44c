"""`addercost bench SPEC`, and `addercost bench show` and `diff` over what it made."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addercost.cli.default_command import DefaultCommandGroup
from addercost.cli.emit import check_output, emit, emit_table
from addercost.cli.options import (
    format_option,
    hardware_path_option,
    input_option,
    output_options,
    parsed_arithmetics,
    parsed_inputs,
    parsed_share,
    quiet_option,
)
from addercost.cli.progress import progress
from addercost.errors import ArgumentError, CheckFailedError
from addercost.report.tables import Table, TableFormat, render

if TYPE_CHECKING:
    from addercost.measure.plan import RowPlan
    from addercost.measure.session import BenchSettings
    from addercost.measure.store import Entry
    from addercost.report.measurements import Measurements

_SUFFIXES = (".json", ".csv", ".md")


@click.group(cls=DefaultCommandGroup, no_args_is_help=True)
def bench() -> None:
    """Time every layer of a model on this machine: `addercost bench SPEC`.

    Each convolution and linear layer as a multiplication, an addition, a binary and a shift layer, beside the
    vendor's kernel and beside what the cost models say. `addercost bench run --help` lists the options.
    """


_cost_model_option = click.option(
    "--cost-model", "cost_models", multiple=True, metavar="NAME", help="Default: all; repeatable."
)


def _result_options(function: Any) -> Any:
    for option in reversed(
        (
            format_option,
            click.option(
                "-o",
                "--output",
                "outputs",
                multiple=True,
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="FILE.json keeps everything, raw samples too, and a killed run goes on from it; "
                "FILE.csv and FILE.md hold the table; repeatable.",
            ),
            click.option(
                "--chrome-trace",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Measured and predicted layers as tracks for chrome://tracing or Perfetto.",
            ),
            click.option("--force", is_flag=True, help="Replace files, and time again what is in them."),
            click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."),
        )
    ):
        function = option(function)
    return function


@bench.command(short_help="Time every layer of SPEC, or shapes named with --conv.")
@click.argument("spec", required=False)
@click.option(
    "--conv",
    "convs",
    multiple=True,
    metavar="SHAPE",
    help="N,C,H,W,K,R,stride,padding[,groups[,dilation]] in place of SPEC; repeatable.",
)
@input_option
@click.option("--batch", type=click.IntRange(min=1), default=1, help="Multiplies the first dimension.")
@click.option(
    "--arithmetic",
    "arithmetics",
    default="mac,adder,xnor,shift",
    show_default=True,
    metavar="LIST",
    help="Which arithmetics to time.",
)
@click.option(
    "--dtype",
    "dtypes",
    default="fp32",
    show_default=True,
    metavar="LIST",
    help="fp32,fp16,bf16,int8; TF32 comes with fp32 on a GPU.",
)
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu or cuda.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of the CPU.")
@click.option("--cold/--warm", help="Flush the caches before every run, or let them stay warm (default).")
@click.option(
    "--clock",
    type=click.Choice(["cpu", "wall"]),
    help="Processor time (default on one thread) or all time (default on several).",
)
@click.option(
    "--layout", default="channels-last", show_default=True, help="channels-last or contiguous, of images."
)
@click.option("--end-to-end", is_flag=True, help="Also whole models, eager and through torch.compile.")
@click.option("--training", is_flag=True, help="Also one training step of whole models.")
@click.option(
    "--keep-first-last", is_flag=True, help="Whole models leave their first and last layer as they are."
)
@click.option(
    "--self-check",
    "check_pairs",
    is_flag=False,
    flag_value=200,
    type=click.IntRange(min=1),
    metavar="[PAIRS]",
    help="Instead of timing a model: whether comparisons made here can be believed. Exits with 1 if not.",
)
@click.option(
    "--precision",
    default="1%",
    show_default=True,
    metavar="SHARE",
    help="A row is done when its 95 % interval is within this share of the median.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="Then a row is unconverged; a whole model gets 10 times as long.",
)
@click.option(
    "--cpu",
    "cpus",
    multiple=True,
    metavar="NAME",
    help="Table to estimate by; repeatable. Default: host, if this machine is calibrated.",
)
@_cost_model_option
@hardware_path_option
@_result_options
@quiet_option
def run(
    spec: str | None,
    convs: tuple[str, ...],
    inputs: tuple[str, ...],
    batch: int,
    arithmetics: str,
    dtypes: str,
    device: str,
    threads: int,
    cold: bool,
    clock: str | None,
    layout: str,
    end_to_end: bool,
    training: bool,
    keep_first_last: bool,
    check_pairs: int | None,
    precision: str,
    time_limit: float,
    cpus: tuple[str, ...],
    cost_models: tuple[str, ...],
    hardware_path: Path | None,
    table_format: str,
    outputs: tuple[Path, ...],
    chrome_trace: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Time every convolution and linear layer of SPEC, or the shapes named with --conv.

    SPEC is as for `profile`. A killed run goes on when the same command is given again.
    """
    from addercost.measure.session import BenchSettings

    if check_pairs is None and (spec is None) == (not convs):
        raise ArgumentError("nothing to time" if spec is None else "SPEC and --conv", "give one of the two")
    settings = BenchSettings(
        arithmetics=parsed_arithmetics(arithmetics),
        dtypes=tuple(dict.fromkeys(name.strip() for name in dtypes.split(","))),
        device=device,
        threads=threads,
        clock=clock,
        cold=cold,
        batch=batch,
        layout=layout,
        precision=parsed_share(precision),
        time_limit_s=time_limit,
        end_to_end=end_to_end,
        training=training,
        keep_first_last=keep_first_last,
        cpus=tuple(name for name in cpus if name != "none") if cpus else None,
        cost_models=cost_models,
        hardware_path=hardware_path,
    )
    if check_pairs is not None:
        if spec is not None or convs or outputs or chrome_trace is not None:
            raise ArgumentError("--self-check times nothing else", "leave out SPEC, --conv and files")
        _self_check(settings, check_pairs, quiet)
        return
    document = _document(outputs)
    _check_outputs(outputs, document, chrome_trace, force)
    result = _measured(spec, convs, inputs, settings, document, quiet)
    _write(result, outputs, chrome_trace)
    if document is not None:
        from addercost.measure.store import journal_path

        journal_path(document).unlink(missing_ok=True)
    _print(result, table_format)


def _measured(
    spec: str | None,
    convs: tuple[str, ...],
    inputs: tuple[str, ...],
    settings: BenchSettings,
    document: Path | None,
    quiet: bool,
) -> Measurements:
    from addercost.measure.case import parse_case
    from addercost.measure.session import case_uses, measure, model_uses, open_device, whole_model_rows

    planned: list[RowPlan] = []
    whole: list[RowPlan] = []
    notes: tuple[str, ...]
    if spec is None:
        if settings.end_to_end or settings.training:
            raise ArgumentError("--conv names no model to run whole", "name a model")
        uses, notes = case_uses([parse_case(text) for text in convs], settings.batch), ()
        model = uses[0].case.text if len(uses) == 1 else f"{len(uses)} convolutions"
    else:
        from addercost.api import trace_spec

        with progress(f"tracing {spec}", quiet):
            trace = trace_spec(spec, parsed_inputs(inputs))
        model = trace.model
        uses, notes = model_uses(trace, settings)
        whole = whole_model_rows(spec, parsed_inputs(inputs), settings, trace)
    device = open_device(settings)
    try:
        return measure(model, uses, settings, device, document, whole, notes, _said(planned, quiet), planned)
    except KeyboardInterrupt:
        if document is not None and not quiet:
            print(f"the rows so far are kept beside {document}: the same command goes on", file=sys.stderr)
        raise
    finally:
        device.close()


def _self_check(settings: BenchSettings, pairs: int, quiet: bool) -> None:
    from addercost.measure.self_check import self_check
    from addercost.measure.session import open_device

    def said(done: int) -> None:
        if not quiet and done % 20 == 0:
            print(f"{done} of {pairs} pairs", file=sys.stderr)

    device = open_device(settings)
    try:
        found = self_check(device, pairs, said)
    finally:
        device.close()
    click.echo(found.text, nl=False)
    found.require()


def _said(planned: list[RowPlan], quiet: bool) -> Callable[[int, RowPlan, Entry | None], None]:
    """A line on stderr for every row that is done."""

    def said(number: int, plan: RowPlan, entry: Entry | None) -> None:
        if not quiet and entry is not None:
            from addercost.report.bench_table import row_line

            print(f"[{number}/{len(planned)}] {row_line(entry)}", file=sys.stderr)

    return said


def _document(outputs: tuple[Path, ...]) -> Path | None:
    """The file that keeps everything. Raises ArgumentError for a suffix of no format, or two documents."""
    for path in outputs:
        if path.suffix not in _SUFFIXES:
            raise ArgumentError(
                f"-o {path}: {path.suffix or 'no suffix'} is no format", "name FILE.json, .csv or .md"
            )
    documents = [path for path in outputs if path.suffix == ".json"]
    if len(documents) > 1:
        raise ArgumentError(f"two documents: {documents[0]} and {documents[1]}", "give one -o FILE.json")
    return documents[0] if documents else None


def _check_outputs(
    outputs: tuple[Path, ...], document: Path | None, chrome_trace: Path | None, force: bool
) -> None:
    from addercost.measure.store import journal_path

    for path in (*outputs, *([chrome_trace] if chrome_trace is not None else [])):
        going_on = path == document and not force and journal_path(path).exists()
        check_output(path, force or going_on)
    if document is not None and force:
        journal_path(document).unlink(missing_ok=True)


def _write(result: Measurements, outputs: tuple[Path, ...], chrome_trace: Path | None) -> None:
    from addercost.report.files import write_file
    from addercost.report.measurements import measurements_to_json

    for path in outputs:
        if path.suffix == ".json":
            text = measurements_to_json(result)
        else:
            chosen = TableFormat.CSV if path.suffix == ".csv" else TableFormat.MARKDOWN
            text = _text(result, chosen, None, False)
        write_file(path, text, force=True)
    if chrome_trace is not None:
        from addercost.report.chrome_trace import to_chrome_trace

        write_file(chrome_trace, to_chrome_trace(result), force=True)


def _print(result: Measurements, table_format: str) -> None:
    chosen = TableFormat(table_format)
    emit(lambda width, styled: _text(result, chosen, width, styled), None, False)


def _text(result: Measurements, chosen: TableFormat, width: int | None, styled: bool) -> str:
    """Machine-readable formats hold the rows; the others the sums too."""
    from addercost.report.bench_table import bench_table, sum_table

    tables: list[Table | None] = [bench_table(result)]
    if chosen not in (TableFormat.CSV, TableFormat.JSON):
        tables.append(sum_table(result))
    return "\n".join(render(table, chosen, width, styled) for table in tables if table is not None)


@bench.command(short_help="Print measurements made before.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--cpu",
    "cpus",
    multiple=True,
    metavar="NAME",
    help="Estimate layers by this table, in place of what FILE has; repeatable.",
)
@_cost_model_option
@hardware_path_option
@_result_options
def show(
    file: Path,
    cpus: tuple[str, ...],
    cost_models: tuple[str, ...],
    hardware_path: Path | None,
    table_format: str,
    outputs: tuple[Path, ...],
    chrome_trace: Path | None,
    force: bool,
) -> None:
    """Print measurements made before, or what a killed run left in FILE.json.journal."""
    from addercost.measure.store import read_measurements

    _document(outputs)
    _check_outputs(outputs, None, chrome_trace, force)
    if (cost_models or hardware_path) and not cpus:
        raise ArgumentError("--cost-model and --hardware-path estimate", "name a --cpu to estimate by")
    result = read_measurements(file)
    if cpus:
        from addercost.measure.estimates import with_estimates
        from addercost.measure.predictions import checked_models, predictor

        predict = predictor(cpus, checked_models(cost_models), hardware_path)
        result = with_estimates(result, predict, cpus)
    _write(result, outputs, chrome_trace)
    _print(result, table_format)


@bench.command(short_help="Say row by row whether B is faster or slower.")
@click.argument("before", metavar="A.json", type=click.Path(path_type=Path))
@click.argument("after", metavar="B.json", type=click.Path(path_type=Path))
@click.option(
    "--across-machines", is_flag=True, help="Environments may differ: compare ratios to references only."
)
@click.option("--fail-on", type=click.Choice(["slower"]), help="Exit with 1 if a row of B is slower.")
@click.option(
    "--margin", default="5%", show_default=True, metavar="SHARE", help="Smaller changes are not told."
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
    from addercost.measure.intervals import Verdict
    from addercost.measure.store import read_measurements
    from addercost.report.bench_diff import bench_diff_table, diff_benchmarks

    check_output(output, force)
    one, two = read_measurements(before), read_measurements(after)
    found = diff_benchmarks(one, two, across_machines, parsed_share(margin, "--margin"))
    emit_table(bench_diff_table(found), table_format, output, force)
    slower = found.count(Verdict.SLOWER)
    if fail_on and slower:
        raise CheckFailedError(f"--fail-on slower: {slower} of {len(found.rows)} rows are slower")
