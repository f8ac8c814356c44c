"""The public functions. `addercost` imports this file when one of them is first used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addercost.arithmetic import Arithmetic
from addercost.errors import unknown_name
from addercost.report.shown import ShownProfile
from addercost.trace.record import Trace

if TYPE_CHECKING:
    from torch import nn

    from addercost.counts.lengths import Layers
    from addercost.counts.model import ModelCounts
    from addercost.measure.session import BenchSettings
    from addercost.results.language_model import LanguageModelReport, PhaseReport, TextCost, TokenTime
    from addercost.results.measurements import Measurements
    from addercost.trace.batch_sizes import BatchTraces
    from addercost.trace.input_shapes import InputShape
    from addercost.trace.inputs import ModelInputs
    from addercost.train.run import TrainingReport

DEFAULT_CPU = "via-nano-2000"
"""The paper's processor."""


def profile(
    model: nn.Module | Trace | str,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    convention: str = "full",
    arithmetic: Arithmetic | str | None = None,
    what_if: Sequence[str] = (),
    keep_first_last: bool = False,
    backward: bool = False,
    cpus: Sequence[str] = (DEFAULT_CPU,),
    cost_models: Sequence[str] = (),
    energy: Sequence[str] = (),
    memories: Sequence[str] = (),
    hardware_path: Path | None = None,
    kernels: Path | None = None,
    accumulator_format: str | None = None,
    optimizer: str | None = None,
) -> ShownProfile:
    """Counts every layer of one forward and estimates it on each processor by each cost model.

    model: a module, a trace, or a SPEC of the command line. args, kwargs: the forward's inputs, on any
    device, meta included; a SPEC that comes with inputs needs none. Nothing is computed. backward: a training
    step instead of a forward. cpus: names of processors, devices and GPUs, with settings after an @, such as
    `raspberry-pi-5@1.8GHz+8GB/s+4cores` or `h100-sxm@graphs`. cost_models: for each of them; by default the
    paper's, and `eager` on GPUs. energy: names of energy tables; memories: levels of their memory to charge
    for every byte. hardware_path: a folder of
    tables that add to and override the built-in ones. kernels: a file of timed kernels for the cost model
    `calibrated`, borrowed where it is of another machine. accumulator_format: what energies charge the
    accumulations of layers at, such as "int16"; by default the format they are counted in. optimizer: whose
    state is in the memory of a training step, one of `addercost.counts.peak_memory.OPTIMIZERS`; plain SGD,
    which keeps none, by default.
    """
    from addercost.cost.energy import estimate_energy
    from addercost.cost.estimate import estimate
    from addercost.cost.models import default_model, usable_model
    from addercost.cost.target_registry import load_target
    from addercost.counts.memory import PACKED_WEIGHT_BITS
    from addercost.counts.model import count
    from addercost.counts.peak_memory import memory_of
    from addercost.hardware import load_energy

    made = (
        model
        if isinstance(model, Trace)
        else trace_model(model, *args, kwargs=kwargs, backward=backward, memory=True)
    )
    counts = count(made, convention, arithmetic=arithmetic, what_if=what_if, keep_first_last=keep_first_last)
    targets = [load_target(name, hardware_path, kernels) for name in cpus]
    costs = (
        estimate(counts, target, usable_model(cost_model, target).name)
        for target in targets
        for cost_model in cost_models or (default_model(target),)
    )
    energies = (
        estimate_energy(counts, load_energy(name, hardware_path), memories, True, accumulator_format)
        for name in energy
    )
    # Binary and shift layers keep their weights in another form.
    changed = what_if or counts.arithmetic in PACKED_WEIGHT_BITS
    memory = None if changed else memory_of(made, optimizer)
    return ShownProfile(counts, tuple(costs), keep_first_last, tuple(energies), memory)


def language_model(
    model: str,
    *,
    prompt: int = 512,
    context: int = 1024,
    new: int = 128,
    source: int | None = None,
    batches: Sequence[int] = (1,),
    with_curve: bool = False,
    dtype: str | None = None,
    arithmetic: Arithmetic | str | None = None,
    what_if: Sequence[str] = (),
    cpus: Sequence[str] = (DEFAULT_CPU,),
    cost_models: Sequence[str] = (),
    energy: Sequence[str] = (),
    memories: Sequence[str] = (),
    hardware_path: Path | None = None,
    kernels: Path | None = None,
    accumulator_format: str | None = None,
) -> LanguageModelReport:
    """What a text decoder costs: a prompt, one token, a whole text, for each batch and on each processor.

    model: a SPEC of a model that keeps a cache. prompt: tokens that are read at once. context: tokens before
    the one that is written. new: tokens written after the prompt, 0 for no whole text. source: tokens that an
    encoder reads. with_curve: also a token after many other contexts, for a figure. dtype: torch's name of
    the format of floating-point weights, None for that of the configuration. The other arguments are those of
    `profile`.
    """
    from addercost.analysis.language_model import (
        Estimators,
        figure_contexts,
        phase_report,
        text_costs,
        token_times,
    )
    from addercost.cost.models import default_model, usable_model
    from addercost.cost.target_registry import load_target
    from addercost.counts.lengths import counts_by_length
    from addercost.counts.memory import used_weight_bytes
    from addercost.counts.model import count
    from addercost.counts.what_if import apply, parse
    from addercost.counts.what_if.cache import cache_bytes
    from addercost.hardware import load_energy
    from addercost.results.language_model import LanguageModelReport
    from addercost.sources.text_decoder import Phase, TextDecoder, load_text_decoder

    targets = [load_target(name, hardware_path, kernels) for name in cpus]
    by = Estimators(
        tuple(
            (target, usable_model(name, target).name)
            for target in targets
            for name in cost_models or (default_model(target),)
        ),
        tuple(load_energy(name, hardware_path) for name in energy),
        tuple(memories),
        accumulator_format,
    )
    decoder = TextDecoder(load_text_decoder(model), source, dtype)
    decoder.check(max(prompt + new, context + 1))

    cache_format = next((parse(text)[1] for text in what_if if text.startswith("cache=")), None)

    def changed(trace: Trace) -> Trace:
        for text in what_if:
            trace = apply(trace, text)
        return trace

    def counted(phase: Phase) -> ModelCounts:
        return count(changed(phase.trace), arithmetic=arithmetic)

    phases: list[PhaseReport] = []
    texts: list[TextCost] = []
    curve: list[TokenTime] = []
    for batch in batches:

        def layers_at(length: int, batch: int = batch) -> Layers:
            return counted(decoder.decode(batch, length)).layers

        read = decoder.prefill(batch, prompt)
        prefill = phase_report(counted(read), batch, prompt, 0, cache_bytes(read.cache, cache_format), by)
        written = decoder.decode(batch, context)
        counts = counted(written)
        phases += [
            prefill,
            phase_report(counts, batch, 1, context, cache_bytes(written.cache, cache_format), by),
        ]
        if new > 1:
            decode_at = counts_by_length(layers_at, prompt, prompt + new - 2, degree=1)
            texts += text_costs(prefill, decode_at, new, by)
        if with_curve:
            contexts = figure_contexts(decoder.positions, context)
            decode_at = counts_by_length(layers_at, contexts[0], contexts[-1], degree=1)
            curve += token_times(batch, contexts, decode_at, by)
    stored = (
        decoder.weight_bytes - used_weight_bytes(written.trace) + used_weight_bytes(changed(written.trace))
    )
    return LanguageModelReport(
        model=decoder.name,
        parameters=counts.parameters,
        weight_bytes=stored,
        prompt=prompt,
        context=context,
        new=new,
        phases=tuple(phases),
        texts=tuple(texts),
        token_times=tuple(curve),
        source=source,
        notes=counts.notes,
    )


def measure_model(
    model: nn.Module | Trace | str,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    settings: BenchSettings | None = None,
    output: Path | None = None,
) -> Measurements:
    """Times every convolution and linear layer of a model on this machine, as `addercost bench` does.

    model, args, kwargs: as for `profile`. settings: what to time and how; `BenchSettings()` by default.
    output: rows are kept beside it as they are made, and a killed call goes on from them; the result is not
    written there. Raises ArgumentError where the device is not there, DataError where the rows beside
    `output` belong to another run.
    """
    from addercost.measure.session import BenchSettings, measure, model_uses, open_device, whole_model_rows
    from addercost.trace.inputs import ModelInputs

    chosen = settings or BenchSettings()
    made = model if isinstance(model, Trace) else trace_model(model, *args, kwargs=kwargs)
    inputs = ModelInputs(args, kwargs or {}) if args or kwargs else None
    whole = whole_model_rows(model, inputs, chosen, made) if not isinstance(model, Trace) else []
    uses, notes = model_uses(made, chosen)
    device = open_device(chosen)
    try:
        return measure(made.model, uses, chosen, device, output, whole, notes)
    finally:
        device.close()


def trace_model(
    model: nn.Module | str,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    backward: bool = False,
    fuse_attention: bool = True,
    memory: bool = False,
) -> Trace:
    """One forward, or training step, of a module or SPEC. See `addercost.trace.tracer.trace`.

    Operators without a counting rule are recorded by their decomposition where torch has one.
    fuse_attention: scaled dot-product attention is one call, else the calls that torch makes of it. memory:
    also record when memory is allocated and freed, for `profile(…).memory`.
    """
    if isinstance(model, str):
        from addercost.trace.inputs import ModelInputs

        inputs = ModelInputs(args, kwargs or {}) if args or kwargs else None
        return trace_spec(model, inputs, backward, fuse_attention=fuse_attention, memory=memory)
    from addercost.counts.call_work import is_counted
    from addercost.trace.tracer import trace

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
    """The trace of a SPEC: read if it is a saved one, else made. `inputs` replace those it comes with: values
    of a forward's arguments, or their shapes.

    backward: of a training step instead of a forward. tracer: one of `addercost.sources.tracing.TRACERS`;
    fvcore's computes, so the model is built with real weights for it. fuse_attention, memory: as for
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
    inputs. Other arguments are those of `trace_spec`. At most two are traced where the others follow.
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
    """Trains a module (in place) or a SPEC on `data`, and keeps the run in `folder`: `addercost train`.

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
    """Reads what `--save-trace` wrote. Raises DataError."""
    from addercost.sources.saved_trace import read_trace

    return read_trace(path)


def load_model(spec: str) -> nn.Module:
    """The model a SPEC names, its weights on the meta device."""
    from addercost.sources.loading import load_model as load

    return load(spec).model
