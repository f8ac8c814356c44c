"""`addercost bench SPEC`: times layers and whole models, or checks whether this machine's timings compare."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.cli.bench_results import (
    check_outputs,
    cost_model_option,
    document_among,
    journal_of,
    print_results,
    result_options,
    write_results,
)
from addercost.cli.measuring_options import (
    accept_noise_option,
    device_option,
    layout_option,
    parsed_share,
    precision_option,
    threads_option,
    time_limit_option,
)
from addercost.cli.options import (
    hardware_path_option,
    input_option,
    keep_first_last_option_with,
    model_batch_option,
    parsed_arithmetics,
    parsed_inputs,
    quiet_option,
)
from addercost.cli.processors import cpus_option
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.counts.arithmetics import WITH_LAYERS
from addercost.errors import ArgumentError

if TYPE_CHECKING:
    from addercost.measure.journal import Entry
    from addercost.measure.plan import RowPlan
    from addercost.measure.session import BenchSettings
    from addercost.results.measurements import Measurements


@click.command(cls=SpecCommand, short_help="Time every layer of SPEC, or shapes named with --conv.")
@spec_argument("spec", required=False)
@click.option(
    "--conv",
    "convs",
    multiple=True,
    metavar="SHAPE",
    help="N,C,H,W,K,R,stride,padding[,groups[,dilation]]; repeatable.",
)
@input_option
@model_batch_option
@click.option(
    "--arithmetic",
    "arithmetics",
    default=",".join(WITH_LAYERS),
    show_default=True,
    metavar="LIST",
    help="What to time.",
)
@click.option(
    "--dtype",
    "dtypes",
    default="fp32",
    show_default=True,
    metavar="LIST",
    help="fp32,fp16,bf16,int8; TF32 comes with fp32 on a GPU.",
)
@device_option
@threads_option
@click.option("--cold/--warm", help="Caches flushed before every run, or warm (default).")
@click.option(
    "--timer",
    type=click.Choice(["cpu", "wall"]),
    help="Processor time (default on one thread) or all time (default on several).",
)
@layout_option("channels-last", "of images.")
@click.option("--end-to-end", is_flag=True, help="Also whole models, eager and through torch.compile.")
@click.option("--training", is_flag=True, help="Also one training step of whole models.")
@keep_first_last_option_with("Whole models leave their first and last layer as they are.")
@click.option(
    "--self-check",
    "check_pairs",
    is_flag=False,
    flag_value=200,
    type=click.IntRange(min=1),
    metavar="[PAIRS]",
    help="Instead of timing a model: whether comparisons made here can be believed. Exits with 1 if not.",
)
@precision_option("1%", "Interval at which a row is done.")
@time_limit_option(3.0, "Then a row is unconverged; a whole model gets 10 times as long.")
@accept_noise_option
@cpus_option("Table to estimate by; repeatable. Default: host, if this machine is calibrated.")
@cost_model_option
@hardware_path_option
@result_options
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
    timer: str | None,
    layout: str,
    end_to_end: bool,
    training: bool,
    keep_first_last: bool,
    check_pairs: int | None,
    precision: str,
    time_limit_s: float,
    accept_noise: bool,
    cpus: tuple[str, ...],
    cost_models: tuple[str, ...],
    hardware_path: Path | None,
    table_format: str,
    outputs: tuple[Path, ...],
    chrome_trace: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Time every convolution and linear layer of SPEC, or the shapes of --conv.

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
        clock=timer,
        cold=cold,
        batch=batch,
        layout=layout,
        precision=parsed_share(precision),
        time_limit_s=time_limit_s,
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
    document = document_among(outputs)
    check_outputs(outputs, document, chrome_trace, force)
    with journal_of(document, force):
        result = _measured(spec, convs, inputs, settings, document, accept_noise, quiet)
        write_results(result, outputs, chrome_trace)
    print_results(result, table_format)


def _measured(
    spec: str | None,
    convs: tuple[str, ...],
    inputs: tuple[str, ...],
    settings: BenchSettings,
    document: Path | None,
    accept_noise: bool,
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
        said = _row_printer(planned, quiet)
        return measure(model, uses, settings, device, document, whole, notes, said, planned, accept_noise)
    except KeyboardInterrupt:
        if document is not None and not quiet:
            print(f"the rows so far are kept beside {document}: the same command goes on", file=sys.stderr)
        raise
    finally:
        device.close()


def _self_check(settings: BenchSettings, pairs: int, quiet: bool) -> None:
    from addercost.measure.self_check import self_check
    from addercost.measure.session import open_device
    from addercost.results.stdout import write_stdout

    def print_progress(done: int) -> None:
        if not quiet and done % 20 == 0:
            print(f"{done} of {pairs} pairs", file=sys.stderr)

    device = open_device(settings)
    try:
        found = self_check(device, pairs, print_progress)
    finally:
        device.close()
    write_stdout(found.text)
    found.require()


def _row_printer(planned: list[RowPlan], quiet: bool) -> Callable[[int, RowPlan, Entry | None], None]:
    """Prints a line on stderr for every row that is done."""

    def print_row(number: int, plan: RowPlan, entry: Entry | None) -> None:
        if not quiet and entry is not None:
            from addercost.report.tables.timings import row_line

            print(f"[{number}/{len(planned)}] {row_line(entry)}", file=sys.stderr)

    return print_row
