"""The public functions. `addercost` imports this file when one of them is first used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addercost.arithmetic import Arithmetic
from addercost.errors import unknown_name
from addercost.report.shown import ShownProfile
from addercost.trace.record import Trace

if TYPE_CHECKING:
    from torch import nn

    from addercost.analysis.accelerators import WantedAccelerators
    from addercost.measure.session import BenchSettings
    from addercost.results.measurements import Measurements
    from addercost.trace.batch_sizes import BatchTraces
    from addercost.trace.input_shapes import InputShape
    from addercost.trace.inputs import ModelInputs
    from addercost.train.run import TrainingReport


def profile(
    model: nn.Module | Trace | str,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    convention: str = "full",
    arithmetic: Arithmetic | str | None = None,
    what_if: str | Sequence[str] = (),
    keep_first_last: bool = False,
    backward: bool = False,
    cpus: str | Sequence[str] | None = None,
    cost_models: str | Sequence[str] = (),
    energy: str | Sequence[str] = (),
    memories: str | Sequence[str] = (),
    hardware_path: Path | None = None,
    kernels: Path | None = None,
    accumulator_format: str | None = None,
    optimizer: str | None = None,
    timeout_s: float = 0.0,
    accelerators: WantedAccelerators | Sequence[str] = (),
) -> ShownProfile:
    """Counts every layer of one forward and estimates its cost on each processor by each cost model.

    model: a module, a trace, or a SPEC of the command line. args, kwargs: the forward's inputs, on any
    device, meta included; a SPEC that comes with inputs needs none. Nothing is computed. backward: a training
    step instead of a forward. cpus: names of processors, devices and GPUs, with settings after an @, such as
    `raspberry-pi-5@1.8GHz+8GB/s+4cores` or `h100-sxm@graphs`; by default this machine where it is calibrated,
    else none. cost_models: for each of these; by default the best that it has figures for: `calibrated`, else
    `roofline`, else `throughput`, and `eager` on GPUs. A single name may be given in place of a list of
    names. energy: names of energy tables; memories: levels of their memory to charge for every byte.
    hardware_path: a folder of tables that add to and override the built-in ones. kernels: a file of timed
    kernels for the cost model `calibrated`, which is used even if it is of another machine.
    accumulator_format: the number format at which energies charge the accumulations of layers, such as
    "int16"; by default the format in which they are counted. optimizer: the optimizer whose state is in the
    memory of a training step, one of `addercost.counts.peak_memory.OPTIMIZERS`; by default plain SGD, which
    has no state. timeout_s: as for `trace_model`. accelerators: names of accelerators, or a
    `WantedAccelerators` with names and settings.
    """
    from addercost.analysis.accelerators import WantedAccelerators
    from addercost.cost.energy import estimate_energy
    from addercost.cost.estimate import estimate
    from addercost.cost.models import default_model, usable_model
    from addercost.cost.target_registry import load_target
    from addercost.counts.arithmetics import DEFINITIONS
    from addercost.counts.model import count
    from addercost.counts.peak_memory import memory_of
    from addercost.hardware import load_energy

    what_if, cost_models, energy, memories = map(_names, (what_if, cost_models, energy, memories))
    named = default_cpus(hardware_path) if cpus is None else _names(cpus)
    made = (
        model
        if isinstance(model, Trace)
        else trace_model(model, *args, kwargs=kwargs, backward=backward, memory=True, timeout_s=timeout_s)
    )
    counts = count(made, convention, arithmetic=arithmetic, what_if=what_if, keep_first_last=keep_first_last)
    targets = [load_target(name, hardware_path, kernels) for name in named]
    changed = bool(what_if) or counts.arithmetic is not None
    has_kernels = not changed and all(a.arithmetic in (None, Arithmetic.MAC) for a in counts.layers)
    costs = (
        estimate(counts, target, usable_model(cost_model, target).name)
        for target in targets
        for cost_model in cost_models or (default_model(target, has_kernels),)
    )
    energies = (
        estimate_energy(counts, load_energy(name, hardware_path), memories, True, accumulator_format)
        for name in energy
    )
    # Some arithmetics store weights in another form.
    packed = counts.arithmetic is not None and DEFINITIONS[counts.arithmetic].weight_bits is not None
    repacked = what_if or packed
    memory = None if repacked else memory_of(made, optimizer)
    if not isinstance(accelerators, WantedAccelerators):
        accelerators = WantedAccelerators(tuple(accelerators))
    on_accelerators = accelerators.costs(counts, hardware_path)
    return ShownProfile(counts, tuple(costs), keep_first_last, tuple(energies), memory, on_accelerators)


def default_cpus(hardware_path: Path | None = None) -> tuple[str, ...]:
    """The processors of a profile where none is named: this machine, if it is calibrated."""
    from addercost.measure.predictions import default_cpus as calibrated_here

    return calibrated_here(hardware_path)


def _names(names: str | Sequence[str]) -> tuple[str, ...]:
    """The names. A single name given as a text is one name, although a text is a sequence in Python."""
    return (names,) if isinstance(names, str) else tuple(names)


def measure_model(
    model: nn.Module | Trace | str,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    settings: BenchSettings | None = None,
    output: Path | None = None,
    accept_noise: bool = False,
) -> Measurements:
    """Times every convolution and linear layer of a model on this machine, as `addercost bench` does.

    model, args, kwargs: as for `profile`. settings: what to time and how; `BenchSettings()` by default.
    output: rows are written to a journal beside this path as they are made, and a later call continues from
    them; the result itself is not written. accept_noise: also return rows that were timed while the machine
    was slow. Raises ArgumentError where there is no such device, DataError where the journal belongs to
    another run, and CheckFailedError where more than half of the rows were timed while the machine was slow.
    """
    from addercost.measure.session import BenchSettings, measure, model_uses, open_device, whole_model_rows
    from addercost.results.journal_lines import journal_path
    from addercost.results.ownership import own_file
    from addercost.trace.inputs import ModelInputs

    chosen = settings or BenchSettings()
    made = model if isinstance(model, Trace) else trace_model(model, *args, kwargs=kwargs)
    inputs = ModelInputs(args, kwargs or {}) if args or kwargs else None
    whole = whole_model_rows(model, inputs, chosen, made) if not isinstance(model, Trace) else []
    uses, notes = model_uses(made, chosen)
    device = open_device(chosen)
    try:
        with own_file(journal_path(output)) if output is not None else nullcontext():
            return measure(made.model, uses, chosen, device, output, whole, notes, accept_noise=accept_noise)
    finally:
        device.close()


def trace_model(
    model: nn.Module | str,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    backward: bool = False,
    fuse_attention: bool = True,
    memory: bool = False,
    timeout_s: float = 0.0,
) -> Trace:
    """One forward, or training step, of a module or SPEC. See `addercost.trace.tracer.trace`.

    Operators without a counting rule are recorded by their decomposition where torch has one. fuse_attention:
    scaled dot-product attention is recorded as one call, and not as the calls that torch makes of it. memory:
    also record when memory is allocated and freed, for `profile(…).memory`. timeout_s: a forward that takes
    longer raises TraceError; 0 for no limit. A limit works only in the main thread.
    """
    from addercost.sources.time_limit import forward_limit

    if isinstance(model, str):
        from addercost.trace.inputs import ModelInputs

        inputs = ModelInputs(args, kwargs or {}) if args or kwargs else None
        with forward_limit(model, timeout_s):
            return trace_spec(model, inputs, backward, fuse_attention=fuse_attention, memory=memory)
    from addercost.counts.call_work import is_counted
    from addercost.trace.tracer import trace

    with forward_limit(type(model).__name__, timeout_s):
        return trace(
            model,
            *args,
            kwargs=kwargs,
            backward=backward,
            is_counted=is_counted,
            fuse_attention=fuse_attention,
            memory=memory,
        )


def trace_spec(
    spec: str,
    inputs: ModelInputs | tuple[InputShape, ...] | None = None,
    backward: bool = False,
    tracer: str = "dispatch",
    fuse_attention: bool = True,
    memory: bool = False,
    batch: int = 1,
) -> Trace:
    """The trace of a SPEC: a saved trace is read, and a model is traced. inputs: arguments of the forward or
    their shapes, which replace those of the SPEC.

    backward: trace a training step instead of a forward. tracer: one of `addercost.sources.tracing.TRACERS`.
    fvcore's tracer computes, so the model is built with real weights for it. fuse_attention, memory: as for
    `trace_model`; the other tracers do not see memory. batch: multiplies the first dimensions of the inputs.
    """
    from addercost.sources.kind import TraceRequest
    from addercost.sources.tracing import trace_spec as traced

    return traced(spec, TraceRequest(inputs, backward, tracer, fuse_attention, memory, batch))


def trace_batches(
    spec: str,
    sizes: Sequence[int],
    inputs: ModelInputs | tuple[InputShape, ...] | None = None,
    backward: bool = False,
    tracer: str = "dispatch",
    fuse_attention: bool = True,
    memory: bool = False,
) -> BatchTraces:
    """The traces of a SPEC at several batch sizes, each of which multiplies the first dimensions of the
    inputs. Other arguments are those of `trace_spec`. Where the others follow from two traces, only two are
    made.
    """
    from addercost.sources.kind import TraceRequest
    from addercost.sources.tracing import trace_batches as traced

    return traced(spec, TraceRequest(inputs, backward, tracer, fuse_attention, memory), sizes)


def train_model(
    model: nn.Module | str,
    data: str,
    folder: Path | str,
    *,
    device: str = "cpu",
    resume: bool = False,
    checkpoint_every: int = 0,
    workers: int = 0,
    **settings: Any,
) -> TrainingReport:
    """Trains a module (in place) or a SPEC on `data`, and writes the run to `folder`, as `addercost train`
    does.

    settings: fields of `addercost.train.settings.TrainSettings`, such as epochs=30 or rate="increased". The
    report has the accuracy, the log and the model. See `addercost.train.run.train`.
    """
    from addercost.train.run import train
    from addercost.train.settings import TrainSettings

    known = [name for name in TrainSettings.__dataclass_fields__ if name not in ("model", "data")]
    for name in settings:
        if name not in known:
            raise unknown_name("setting", name, known)
    module = None if isinstance(model, str) else model
    name = model if isinstance(model, str) else type(model).__name__
    return train(
        TrainSettings(model=name, data=data, **settings),
        Path(folder),
        module=module,
        device=device,
        resume=resume,
        checkpoint_every=checkpoint_every,
        workers=workers,
    )


def load_trace(path: Path) -> Trace:
    """Reads a trace that `--save-trace` wrote. Raises DataError where the file is missing or damaged."""
    from addercost.sources.saved_trace import read_trace

    return read_trace(path)


def load_model(spec: str) -> nn.Module:
    """The model that a SPEC names, with its weights on the meta device."""
    from addercost.sources.loading import load_model as load

    return load(spec).model
