"""`addercost verdict SPEC`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.cli.emit import check_output, emit_table
from addercost.cli.measuring_options import (
    accept_noise_option,
    device_option,
    parsed_share,
    precision_option,
    threads_option,
    time_limit_option,
)
from addercost.cli.options import (
    hardware_path_option,
    input_option,
    keep_first_last_option,
    model_batch_option,
    output_options,
    parsed_inputs,
    quiet_option,
)
from addercost.cli.processors import one_cpu_option
from addercost.cli.progress import progress
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.errors import ArgumentError

if TYPE_CHECKING:
    from addercost.analysis.prediction_gap import PredictionGap
    from addercost.cost.target import Target
    from addercost.cost.verdict import Contest, PredictedRatio
    from addercost.measure.session import BenchSettings
    from addercost.results.measurements import Measurements
    from addercost.results.network_ratio import NetworkRatio
    from addercost.trace.record import Trace

ENERGY_TABLES = ("45nm", "7nm")


@click.command(cls=SpecCommand)
@spec_argument("spec")
@input_option
@model_batch_option
@keep_first_last_option
@one_cpu_option("Table to predict by. Default: host, if this machine is calibrated.")
@hardware_path_option
@device_option
@threads_option
@precision_option("2%", "Of each layer's interval.")
@time_limit_option(1.0, "For one layer.")
@accept_noise_option
@click.option(
    "--measurements",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Timings that `bench SPEC --dtype fp32,int8 -o FILE` made; nothing is timed then.",
)
@click.option("--no-measure", is_flag=True, help="Predictions alone; nothing is timed.")
@output_options
@quiet_option
def verdict(
    spec: str,
    inputs: tuple[str, ...],
    batch: int,
    keep_first_last: bool,
    cpu: str | None,
    hardware_path: Path | None,
    device: str,
    threads: int,
    precision: str,
    time_limit_s: float,
    accept_noise: bool,
    measurements: Path | None,
    no_measure: bool,
    table_format: str,
    output: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Say who wins, convolutions or additions: by the paper's rule, by throughput, by the clock, by energy.

    For fp32, int8 and binary layers of SPEC: the latency sum on the VIA Nano (the paper's rule, which the
    paper has for fp32 and which is applied to the others here), the throughput model for this machine, what
    its layers really take here, and the energy of the arithmetic at 45 nm and 7 nm.
    """
    check_output(output, force)
    share = parsed_share(precision)
    if no_measure and measurements is not None:
        raise ArgumentError("--no-measure and --measurements", "give one of the two")

    from addercost.analysis.network_verdict import NetworkVerdict, VerdictRow
    from addercost.api import trace_spec
    from addercost.cost.matrix_units import matrix_unit_lines
    from addercost.cost.models import PAPER_MODEL, throughput
    from addercost.cost.target_registry import load_target
    from addercost.cost.verdict import CONTESTS, contest_cycles, contest_energy
    from addercost.hardware import load_energy
    from addercost.hardware.loader import PAPER_CPU
    from addercost.measure.contests import IMPLEMENTATIONS
    from addercost.measure.kernel_contests import kernel_ratio
    from addercost.measure.session import model_uses
    from addercost.report.tables.profile_notes import caveat_lines
    from addercost.report.tables.verdict import verdict_table
    from addercost.results.measurements import NO_ESTIMATES
    from addercost.results.network_ratio import network_ratio

    here, remarks = _table_of_this_machine(cpu, hardware_path)
    with progress(f"tracing {spec}", quiet):
        trace = trace_spec(spec, parsed_inputs(inputs))
    if no_measure:
        timed = None
    elif measurements is not None:
        timed = _read(measurements, trace)
    else:
        wanted_settings = _settings(device, threads, batch, share, time_limit_s, None)
        timed = _timed(trace, wanted_settings, accept_noise, quiet)
    settings = _settings(device, threads, batch, share, time_limit_s, timed)
    other_machine = _other_machine(here, cpu is not None, timed, from_file=measurements is not None)
    with_kernels, why = _kernel_target(here, settings)
    uses = model_uses(trace, settings)[0] if with_kernels else ()
    rows = []
    for contest in CONTESTS:
        measured = None
        wanted = contest.arithmetic.value, IMPLEMENTATIONS[contest.name], contest.number_format
        if timed is not None:
            measured = network_ratio(timed, *wanted, keep_first_last)
        prediction = (
            contest_cycles(trace, contest, here, throughput.MODEL.name, keep_first_last) if here else None
        )
        rows.append(
            VerdictRow(
                contest=contest,
                paper=contest_cycles(trace, contest, load_target(PAPER_CPU), PAPER_MODEL, keep_first_last),
                here=prediction,
                measured=measured,
                energies=tuple(
                    contest_energy(trace, contest, load_energy(name), keep_first_last)
                    for name in ENERGY_TABLES
                ),
                why_not=_why_not(timed, wanted) if timed is not None else "",
                gap=_gap(trace, contest, here, prediction, measured, timed, keep_first_last)
                if here and prediction and measured and timed and not other_machine
                else None,
                calibrated=kernel_ratio(uses, contest, with_kernels, keep_first_last)
                if with_kernels and uses
                else None,
            )
        )
    where = timed.environment.get("cpu") or timed.environment.get("cuda", "") if timed else ""
    # The verdict makes predictions itself, so a note that the timings lack estimates would be misleading.
    notes = [note for note in timed.notes if not note.startswith(NO_ESTIMATES)] if timed else []
    doubted = {target.name: target.caveats for target in (load_target(PAPER_CPU), here) if target}
    doubted |= {name: load_energy(name).caveats for name in ENERGY_TABLES}
    doubts = caveat_lines(doubted)
    units = matrix_unit_lines([here] if here else [], sorted({contest.number_format for contest in CONTESTS}))
    result = NetworkVerdict(
        trace.model, where, tuple(rows), (*remarks, *other_machine, *why, *notes, *units, *doubts)
    )
    emit_table(verdict_table(result), table_format, output, force)


def _table_of_this_machine(
    cpu: str | None, hardware_path: Path | None
) -> tuple[Target | None, tuple[str, ...]]:
    """(the table for predictions, a remark): the named table, this machine's own, or that of its core."""
    from addercost.cost.target_registry import load_target
    from addercost.hardware.loader import HOST
    from addercost.hardware.matching import core_name, matching_tables

    if cpu is not None:
        return load_target(cpu, hardware_path), ()
    try:
        return load_target(HOST, hardware_path), ()
    except ArgumentError:
        built_in = matching_tables(core_name())
    if built_in:
        return load_target(built_in[0]), (
            "predicted by a built-in table: `addercost calibrate` makes one of this machine",
        )
    return None, ("no prediction for this machine: run `addercost calibrate` first, or name a --cpu",)


def _other_machine(
    here: Target | None, was_named: bool, timed: Measurements | None, from_file: bool
) -> tuple[str, ...]:
    """A remark where predictions and timings are of different machines, so that they are not compared.
    Timings from a file are assumed to be of a processor that is named with them.
    """
    if here is None or timed is None or not was_named:
        return ()
    where = timed.environment.get("cpu") or timed.environment.get("cuda", "")
    on_cpu = timed.settings.get("device", "cpu") == "cpu"
    if from_file:
        is_other = on_cpu and here.device_class == "gpu"
    else:
        is_other = not (on_cpu and _is_this_machine(here, where))
    return (f"{here.name} is predicted and {where} was timed: the two are not compared",) if is_other else ()


def _is_this_machine(target: Target, cpu: str) -> bool:
    """Whether a target is of this machine's own table, of its core's, or of a part with this processor's
    name.
    """
    from addercost.cost.target_settings import split_name
    from addercost.hardware.loader import HOST
    from addercost.hardware.matching import core_name, matching_tables

    name = split_name(target.name)[0]
    return name == HOST or target.processor == cpu or name in matching_tables(core_name())


def _read(path: Path, trace: Trace) -> Measurements:
    from addercost.measure.journal import read_measurements

    found = read_measurements(path)
    if found.model != trace.model:
        raise ArgumentError(f"{path} times {found.model}, not {trace.model}", "time this model")
    return found


def _gap(
    trace: Trace,
    contest: Contest,
    here: Target,
    prediction: PredictedRatio,
    measured: NetworkRatio,
    timed: Measurements,
    keep_first_last: bool,
) -> PredictionGap | None:
    """The gap between prediction and measurement; None unless the timings are of one core of a CPU, as
    predictions are.
    """
    from addercost.analysis.prediction_gap import PredictionGap, Side
    from addercost.cost.models import roofline
    from addercost.cost.verdict import contest_cycles
    from addercost.report.tables.verdict_sentences import OTHERS, same_winner

    on_cpu = timed.settings.get("device", "cpu") == "cpu"
    if prediction.seconds is None or not on_cpu or timed.environment.get("threads", "1") != "1":
        return None
    batch = int(timed.settings.get("batch", "1"))
    with_memory = None
    if timed.settings.get("cache") == "cold":
        # A layer that runs repeatedly finds its operands in the caches.
        with_memory = contest_cycles(trace, contest, here, roofline.MODEL.name, keep_first_last).seconds
    sides = [
        Side(
            name,
            measured_s,
            batch * predicted_s,
            batch * ((with_memory[i] if with_memory else predicted_s) - predicted_s),
            (here.operator_call_s or 0.0) * measured.layers,
        )
        for i, (name, measured_s, predicted_s) in enumerate(
            zip(
                ("convolutions", OTHERS[contest.arithmetic]),
                (measured.reference_s, measured.own_s),
                prediction.seconds,
                strict=True,
            )
        )
    ]
    return PredictionGap(sides[0], sides[1], same_winner(prediction.ratio, measured))


def _why_not(timed: Measurements, wanted: tuple[str, str, str]) -> str:
    """The reason why (arithmetic, implementation, number format) has no measurement."""
    reasons = dict.fromkeys(
        row.reason for row in timed.failed if (row.arithmetic, row.implementation, row.dtype) == wanted
    )
    return ": ".join(["no layer of it could be timed", *list(reasons)[:1]])


def _settings(
    device: str,
    threads: int,
    batch: int,
    precision: float,
    time_limit_s: float,
    timed: Measurements | None,
) -> BenchSettings:
    """The settings for timing layers; those of `timed` where there are timings already."""
    from addercost.measure.contests import settings_for
    from addercost.measure.session import BenchSettings

    made = BenchSettings(
        device=device, threads=threads, batch=batch, precision=precision, time_limit_s=time_limit_s
    )
    if timed is not None:
        kept = timed.settings
        made = replace(
            made,
            device=kept.get("device", "cpu"),
            threads=int(timed.environment.get("threads", "1")),
            batch=int(kept.get("batch", "1")),
            layout=kept.get("layout", made.layout),
            cold=kept.get("cache") == "cold",
        )
    return settings_for(made)


def _kernel_target(here: Target | None, settings: BenchSettings) -> tuple[Target | None, tuple[str, ...]]:
    """(the target with kernels that were timed under the same conditions as the layers or None, the reason
    for None).
    """
    from addercost.cost.models import calibrated

    if here is None or settings.device != "cpu" or not here.kernel_files:
        return None, ()
    target = replace(
        here, kernel_layout=settings.layout, kernel_caches=settings.cache, working_cores=settings.threads
    )
    why = calibrated.MODEL.unusable(target)
    return (None, (f"no prediction by {calibrated.MODEL.name}: {why}",)) if why else (target, ())


def _timed(trace: Trace, settings: BenchSettings, accept_noise: bool, quiet: bool) -> Measurements:
    from addercost.measure.contests import contest_rows
    from addercost.measure.session import measure, open_device

    plans, remarks = contest_rows(trace, settings)
    opened = open_device(settings)
    try:
        with progress(f"timing {len(plans)} layers, up to {len(plans) * settings.time_limit_s:.0f} s", quiet):
            return measure(
                trace.model, (), settings, opened, extra=plans, notes=remarks, accept_noise=accept_noise
            )
    finally:
        opened.close()
