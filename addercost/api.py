"""The public functions, one call each; `addercost.__init__` hands them out without importing torch first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addercost.arithmetic import Arithmetic
from addercost.errors import ArgumentError, DataError, unknown_name
from addercost.report.shown import ShownProfile
from addercost.trace.record import Trace

if TYPE_CHECKING:
    from torch import nn

    from addercost.measure.session import BenchSettings
    from addercost.results.measurements import Measurements
    from addercost.sources.specs import LoadedModel
    from addercost.trace.inputs import ModelInputs
    from addercost.train.run import TrainingReport

TRACERS = ("dispatch", "blocks", "fvcore")
"""How a model is traced: torch's dispatcher on data-free tensors; the same with equal blocks run once, which
pays for deep stacks; or fvcore's walk over the jit graph.
"""

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
    cost_models: Sequence[str] = ("latency-sum",),
    energy: Sequence[str] = (),
    memories: Sequence[str] = (),
    hardware_path: Path | None = None,
) -> ShownProfile:
    """Counts every layer of one forward and estimates it on each processor by each cost model.

    model: a module, a trace, or a SPEC of the command line. args, kwargs: the forward's inputs, on any
    device, meta included; a SPEC that comes with inputs needs none. Nothing is computed. backward: a training
    step instead of a forward. energy: names of
    energy tables; memories: levels of their memory to charge for every byte. hardware_path: a folder of
    tables that add to and override the built-in ones.
    """
    from addercost.cost.energy import estimate_energy
    from addercost.cost.estimate import estimate
    from addercost.counts.model import count
    from addercost.hardware import load_cpu, load_energy

    made = model if isinstance(model, Trace) else trace_model(model, *args, kwargs=kwargs, backward=backward)
    counts = count(made, convention, arithmetic=arithmetic, what_if=what_if, keep_first_last=keep_first_last)
    costs = (
        estimate(counts, load_cpu(name, hardware_path), cost_model)
        for name in cpus
        for cost_model in cost_models
    )
    energies = (estimate_energy(counts, load_energy(name, hardware_path), memories) for name in energy)
    return ShownProfile(counts, tuple(costs), keep_first_last, tuple(energies))


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
) -> Trace:
    """One forward, or training step, of a module or SPEC. See `addercost.trace.tracer.trace`."""
    if isinstance(model, str):
        from addercost.trace.inputs import ModelInputs

        return trace_spec(model, ModelInputs(args, kwargs or {}) if args or kwargs else None, backward)
    from addercost.trace.tracer import trace

    return trace(model, *args, kwargs=kwargs, backward=backward)


def trace_spec(
    spec: str, inputs: ModelInputs | None = None, backward: bool = False, tracer: str = "dispatch"
) -> Trace:
    """The trace of a SPEC: read if it is a saved one, else made. `inputs` replace those it comes with.

    backward: of a training step instead of a forward. tracer: one of `TRACERS`; fvcore's computes, so the
    model is built with real weights for it.
    """
    if tracer not in TRACERS:
        raise unknown_name("tracer", tracer, TRACERS)
    if spec.endswith(".json"):
        if inputs is not None or backward or tracer != "dispatch":
            raise ArgumentError(
                f"{spec} is a trace: what it traced is fixed", "leave --input, --backward and --tracer out"
            )
        return load_trace(Path(spec))
    from addercost.sources.specs import load_model
    from addercost.trace.build import import_path, user_output
    from addercost.trace.inputs import ModelInputs, missing_inputs

    loaded = load_model(spec)
    chosen = inputs or loaded.inputs
    if chosen is None and _takes_arguments(loaded.model):
        raise missing_inputs(spec, loaded.model)
    chosen = chosen or ModelInputs()
    # A forward may import more of the user's files, and print.
    with import_path(loaded.folder), user_output():
        return _traced(loaded, chosen, backward, tracer)


def _traced(loaded: LoadedModel, inputs: ModelInputs, backward: bool, tracer: str) -> Trace:
    if tracer == "dispatch":
        return _dispatched(loaded, inputs, backward)
    if backward:
        raise ArgumentError(f"the {tracer} tracer takes no --backward", "use --tracer dispatch")
    if tracer == "blocks":
        from addercost.errors import TraceError
        from addercost.trace.reuse.tracer import trace_blocks

        try:
            return trace_blocks(loaded.model, [(inputs.args, inputs.kwargs)], name=loaded.name)[0].trace()
        except TraceError:
            # It may need values, or to be seen whole, or not run at all: the whole trace knows.
            return _dispatched(loaded, inputs, backward)
    if inputs.kwargs:
        raise ArgumentError("the fvcore tracer takes no inputs by name", "use --tracer dispatch")
    from addercost.trace.jit import trace_with_fvcore

    model = loaded.rebuild() if loaded.rebuild is not None else loaded.model
    return trace_with_fvcore(model, *inputs.args, name=loaded.name)


def _dispatched(loaded: LoadedModel, inputs: ModelInputs, backward: bool) -> Trace:
    from addercost.trace.tracer import trace

    return trace(
        loaded.model,
        *inputs.args,
        kwargs=inputs.kwargs,
        name=loaded.name,
        rebuild=loaded.rebuild,
        backward=backward,
    )


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

    settings: fields of `addercost.train.settings.TrainSettings` such as epochs=30, rate="increased". The
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
    from addercost.results.trace import trace_from_json

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist", "save a trace with `addercost profile … --save-trace`"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    return trace_from_json(text, str(path))


def load_model(spec: str) -> nn.Module:
    """The model a SPEC names, its weights on the meta device."""
    from addercost.sources.specs import load_model as load

    return load(spec).model


def _takes_arguments(model: nn.Module) -> bool:
    import inspect

    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):
        return True
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(
        parameter.default is inspect.Parameter.empty and parameter.kind not in kinds
        for parameter in signature.parameters.values()
    )
