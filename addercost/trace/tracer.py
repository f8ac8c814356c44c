"""Runs a model once, without data where possible, and returns its operator calls as a `Trace`."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_flatten, tree_leaves

from addercost.errors import AddercostError, TraceError
from addercost.garbage_collection import without_garbage_collection
from addercost.text import error_text
from addercost.trace.attended_scores import with_values_of
from addercost.trace.attention import whole_attention
from addercost.trace.backward import GradientPaths
from addercost.trace.caller_state import not_put_back, unchanged
from addercost.trace.constants import noted_constants
from addercost.trace.control_flow import ControlFlowAsPython
from addercost.trace.data_free_contents import replace_data_free_contents
from addercost.trace.decompositions import Decompositions, IsCounted
from addercost.trace.equal_layers import EqualLayers
from addercost.trace.forward_errors import forward_error
from addercost.trace.lazy_outputs import LazyOutputs, unrun_work
from addercost.trace.modules import ModuleTree, replace_data_free_attributes, replace_tensors, tracked
from addercost.trace.plain_calls import tensor_spec
from addercost.trace.record import INPUT, PARAMETER, TensorSpec, Trace
from addercost.trace.recorder import Recorder
from addercost.trace.refusals import about_devices, cpu_takes, wants_values
from addercost.trace.singular_values import may_want_values_alone, values_alone
from addercost.trace.sparse import dense_stand_in, with_stored
from addercost.trace.substitutes import mapped, meta_substitute, with_values, without_data, without_shape
from addercost.trace.switches import countable_operators
from addercost.trace.threads import require_unused


def trace(
    model: nn.Module,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    name: str | None = None,
    rebuild: Callable[[], nn.Module] | None = None,
    known_values: Callable[[Any], Any] | None = None,
    backward: bool = False,
    input_gradients: bool = True,
    is_counted: IsCounted | None = None,
    fuse_attention: bool = True,
    memory: bool = False,
    equal_layers: bool = False,
) -> Trace:
    """Traces one forward of `model` in evaluation mode. Where possible nothing is computed and no weight is
    read.

    args, kwargs: the forward's inputs, with tensors anywhere inside them, on any device including meta. name:
    what to call the model; its class name by default.
    rebuild: makes the model again with real weights. It is used for models whose control flow needs values.
    known_values: used instead of `rebuild`; gives tensors the values that they would have. backward: traces a
    training step instead: the forward in training mode, then the gradients of its loss, or of all its
    outputs, for every parameter that is not frozen. Each gradient's calls belong to the module whose forward
    made it necessary, and are tagged "backward".
    input_gradients: with `backward`, also computes the gradients of the floating-point inputs. is_counted:
    whether an operator is recorded itself. For the others, the calls of their decomposition are recorded if
    torch has one. None records every operator itself.
    fuse_attention: scaled dot-product attention is one call. Otherwise it is the calls of products, softmax
    and copies that torch makes of it.
    memory: also records when memory is allocated and freed, which takes about a tenth longer.
    equal_layers: of the layers of a stack that are alike a few are run, for a forward without data.

    This tries the meta device, then the same with an even choice of experts, then fake tensors, then a run
    with data on the CPU. `Trace.tracer` and a note say which one succeeded. The model, the random states and
    torch's switches are left as they were, also when this raises. Raises TraceError, with the path of the
    layer that failed.
    """
    kwargs = dict(kwargs or {})
    title = name or type(model).__name__
    if any(isinstance(value, Tensor) and value.is_nested for value in tree_leaves((args, kwargs))):
        raise TraceError(
            f"an input of {title} is a nested tensor, which cannot be copied without its data",
            "give the tensors in it one by one and nest them in the forward, or give a padded tensor",
        )
    step = _TracedStep(
        backward, input_gradients, is_counted, fuse_attention, memory, backward, False, equal_layers
    )

    def attempt() -> Trace:
        return _traced(model, args, kwargs, title, step, rebuild, known_values)

    try:
        made = attempt()
    except _NeedsGradientsError:
        step = replace(step, gradients=True)
        made = attempt()
    if may_want_values_alone(made.calls):
        step = replace(step, values_alone=True)
        made = attempt()
    return made


def _traced(
    model: nn.Module,
    args: Any,
    kwargs: Any,
    title: str,
    step: _TracedStep,
    rebuild: Callable[[], nn.Module] | None,
    known_values: Callable[[Any], Any] | None,
) -> Trace:
    """The trace by the first way that succeeds."""
    first: TraceError | None = None
    values_would_help = False
    chooses = False
    for tracer, attempt, even_choices in (
        ("meta", _trace_meta, False),
        ("meta", _trace_meta, True),
        ("fake", _trace_fake, False),
    ):
        if even_choices and not chooses:
            continue
        its_step = replace(step, even_choices=even_choices)
        try:
            return _uncompiled(partial(attempt, model, args, kwargs, title, its_step))
        except _NeedsGradientsError:
            raise
        except _NeedsValuesError as error:
            values_would_help, chooses = True, error.after_choices
            first = first or error
        except TraceError as error:
            first = first or error
            if tracer == "meta" and not about_devices(error.__cause__):
                raise
    assert first is not None
    if not values_would_help:
        raise first
    if known_values is None:
        return _trace_real(rebuild() if rebuild is not None else model, args, kwargs, title, step)
    args, kwargs = known_values((args, kwargs))
    return _trace_real(model, args, kwargs, title, step, known_values)


def _uncompiled(attempt: Callable[[], Trace]) -> Trace:
    """Makes the attempt, and repeats it if it failed and has loaded torch's compiler meanwhile.

    The compiler is switched off only if it is loaded already. Loading it just to switch it off would take a
    second.
    """
    loaded = "torch._dynamo" in sys.modules
    try:
        return attempt()
    except TraceError:
        if loaded or "torch._dynamo" not in sys.modules:
            raise
    return attempt()


class _NeedsValuesError(TraceError):
    """A run without data failed, but one with data may succeed. after_choices: it had chosen positions by
    scores whose values are unknown, as a router chooses experts.
    """

    after_choices = False


class _NeedsGradientsError(TraceError):
    """A run without gradients failed, because the forward itself computes some."""


@dataclass(frozen=True, slots=True)
class _TracedStep:
    """What is traced: a forward in evaluation mode or a training step, which operators stay whole, and
    whether memory is recorded. The fields are named as in `trace`.
    """

    backward: bool
    input_gradients: bool
    is_counted: IsCounted | None
    fuse_attention: bool
    memory: bool
    gradients: bool
    """Whether the forward may compute gradients, as models of energies do for forces."""
    values_alone: bool
    """Whether singular values and eigenvalues without vectors have operators of their own."""
    equal_layers: bool
    even_choices: bool = False
    """Whether a choice of experts by unknown scores is taken to be even."""


def _trace_meta(model: nn.Module, args: Any, kwargs: Any, name: str, step: _TracedStep) -> Trace:
    def substitute(tensor: Tensor) -> Tensor:
        # A backward pass would otherwise leave its gradients on the model's own tensors.
        return meta_substitute(tensor, always=step.backward)

    args, kwargs = mapped(without_data, (args, kwargs))
    return _run(model, args, kwargs, name, "meta", substitute, step)


def _trace_fake(model: nn.Module, args: Any, kwargs: Any, name: str, step: _TracedStep) -> Trace:
    from torch._subclasses.fake_tensor import FakeTensorMode

    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def fake(tensor: Tensor) -> Tensor:
        with mode:
            made = torch.empty_like(dense_stand_in(tensor), device="cpu").detach()
        return with_values_of(with_stored(made, tensor), tensor)

    def substitute(tensor: Tensor) -> Tensor:
        if is_lazy(tensor):
            return without_shape(tensor, "cpu")
        data = fake(tensor)
        made = nn.Parameter(data, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else data
        return with_stored(made, tensor)

    def convert(value: Any) -> Any:
        return fake(value) if isinstance(value, Tensor) else value

    made = mapped(convert, args), mapped(convert, kwargs)
    return _run(model, *made, name, "fake", substitute, step, mode)


def _trace_real(
    model: nn.Module,
    args: Any,
    kwargs: Any,
    name: str,
    step: _TracedStep,
    known_values: Callable[[Any], Any] = lambda value: value,
) -> Trace:
    needed = sum(tensor_spec(tensor, PARAMETER).n_bytes for tensor in _tensors_of(model))
    available = _available_memory_bytes()
    if available is not None and needed > available // 2:
        raise TraceError(
            f"{name} needs values to run, and its weights take {needed / 2**30:.1f} GiB "
            f"of the {available / 2**30:.1f} GiB that are free",
            "trace a smaller configuration of it, or make its control flow independent of tensor values",
        )

    def substitute(tensor: Tensor) -> Tensor:
        if is_lazy(tensor):
            return without_shape(tensor, "cpu")
        data = with_values(known_values(tensor))
        made = nn.Parameter(data, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else data
        return with_stored(made, tensor)

    def convert(value: Any) -> Any:
        return with_values(value) if isinstance(value, Tensor) else value

    return _run(model, mapped(convert, args), mapped(convert, kwargs), name, "real", substitute, step)


def _tensors_of(model: nn.Module) -> list[Tensor]:
    found = [tensor for _, _, _, tensor, _ in ModuleTree(model).tensors() if not is_lazy(tensor)]
    return list({id(tensor): tensor for tensor in found}.values())


def _run(
    model: nn.Module,
    args: Any,
    kwargs: Any,
    name: str,
    tracer: str,
    substitute: Callable[[Tensor], Tensor],
    step: _TracedStep,
    mode: Any = None,
) -> Trace:
    inputs = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    with ExitStack() as stack:
        if tracer == "meta":
            stack.enter_context(without_garbage_collection())
        stack.enter_context(countable_operators())
        if step.fuse_attention:
            stack.enter_context(whole_attention())
        if step.values_alone:
            stack.enter_context(values_alone())
        tree = ModuleTree(model)
        state = stack.enter_context(unchanged(tree, (args, kwargs)))
        calls = stack.enter_context(tracked(tree))
        require_unused(tree.paths, name)
        names = replace_tensors(tree, substitute)
        if tracer == "real":
            replace_data_free_attributes(tree, substitute)
            replace_data_free_contents((args, kwargs), substitute)
        for module in tree.modules:
            module.__dict__["training"] = step.backward
        gradients = GradientPaths(names) if step.backward else None
        decompositions = Decompositions(step.is_counted)
        written = state.written
        recorder = Recorder(calls, tracer, names, inputs, gradients, decompositions, written, step.memory)
        calls.recorded = recorder.call_count
        if calls.wrapping:
            calls.on_wrapping = recorder.know_parameters
        if tracer == "meta":
            recorder.positions.assume_even_choices = step.even_choices
            stack.enter_context(noted_constants(recorder.positions.constant))
            if step.equal_layers and not step.backward:
                calls.intercept = EqualLayers(tree, calls, recorder, names).intercept
        lazy = LazyOutputs(recorder.call_count)
        stack.enter_context(torch.set_grad_enabled(step.gradients))
        if step.backward and step.input_gradients:
            for tensor in inputs:
                tensor.requires_grad_(tensor.is_floating_point() or tensor.is_complex())
        if mode is not None:
            stack.enter_context(mode)
        if step.backward:
            stack.enter_context(ControlFlowAsPython())
        try:
            with recorder:
                output = lazy.computed(model(*args, **kwargs))
                begun = tuple(calls.begun)
                if step.backward:
                    recorder.run_backward(output, name)
        except AddercostError:
            raise
        except Exception as error:
            needs_values = tracer != "real" and (wants_values(error) or cpu_takes(recorder.refused))
            made_error = forward_error(name, calls.failed, error)
            if not step.gradients and _NO_GRADIENT in error_text(error):
                raise _NeedsGradientsError(made_error.message, made_error.hint) from error
            if needs_values:
                needed = _NeedsValuesError(made_error.message, made_error.hint)
                needed.after_choices = recorder.positions.made_choices
                raise needed from error
            raise made_error from error
        finally:
            # Recorder and stack refer to each other. This cycle would keep alive what a run with data
            # computed.
            calls.recorded = calls.intercept = None
        # Read after the forward, because a lazy module's parameters have no shape before.
        parameters = {
            n: tensor.numel()
            for n, role, tensor in names.values()
            if role == "parameter" and not is_lazy(tensor)
        }
        times = recorder.storage_times
        if times is not None:
            own = [(role, tensor) for _, role, tensor in names.values() if not is_lazy(tensor)]
            times.gradients(tensor.grad for role, tensor in own if role == PARAMETER)
            times.given([*own, *((INPUT, tensor) for tensor in inputs)])
        recorded = recorder.recorded(begun)
        parameters |= recorder.packed
        made = unrun_work(recorded.calls, parameters, lazy)
        returned = recorder.numbers_of(output)
        modules = dict(calls.types)
    notes = _notes(tracer, step)
    return Trace(
        model=name,
        calls=made,
        modules=modules,
        parameters=parameters,
        inputs=input_specs(inputs),
        tracer=tracer,
        versions=versions(),
        notes=(*notes, not_put_back(state.problems)) if state.problems else notes,
        # The memory of packed parameters cannot be seen.
        storages=None if recorder.packed else recorded.storages,
        repeats=recorded.repeats,
        returned=returned,
    )


_NO_GRADIENT = "does not require grad"
"""Part of torch's error message for a gradient where none was to be recorded."""


def _notes(tracer: str, step: _TracedStep) -> tuple[str, ...]:
    notes = []
    if tracer == "real":
        notes.append(
            "computed with real values, which the model's control flow or one of its operators needs"
        )
    if step.even_choices:
        notes.append(
            "experts are taken to be chosen evenly, since without values nobody knows the scores of a choice"
        )
    if step.backward:
        whose = "parameters and inputs" if step.input_gradients else "parameters"
        notes.append(f"a training step: forward in training mode, then the gradients of {whose}")
    return tuple(notes)


def versions() -> dict[str, str]:
    return {"torch": torch.__version__, "python": platform.python_version()}


def input_specs(inputs: list[Tensor]) -> tuple[TensorSpec, ...]:
    return tuple([tensor_spec(tensor, "input") for tensor in inputs])


def _available_memory_bytes() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None
