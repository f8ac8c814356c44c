"""One run of a model's forward or training step, in one way, with its operator calls as a `Trace`."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_flatten

from addercost.errors import AddercostError, TraceError
from addercost.garbage_collection import without_garbage_collection
from addercost.text import error_text
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
from addercost.trace.refusals import cpu_takes, wants_values
from addercost.trace.singular_values import values_alone
from addercost.trace.switches import countable_operators
from addercost.trace.threads import require_unused


class NeedsValuesError(TraceError):
    """A run without data failed, but one with data may succeed. after_choices: it had chosen positions by
    scores whose values are unknown, as a router chooses experts.
    """

    after_choices = False


class NeedsGradientsError(TraceError):
    """A run without gradients failed, because the forward itself computes some."""


@dataclass(frozen=True, slots=True)
class TracedStep:
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
    """Whether a choice by unknown scores, such as that of experts, is taken to be even."""


def traced_run(
    model: nn.Module,
    args: Any,
    kwargs: Any,
    name: str,
    tracer: str,
    substitute: Callable[[Tensor], Tensor],
    step: TracedStep,
    mode: Any = None,
) -> Trace:
    """Runs the model once on tensors that `substitute` makes of its own, and leaves it as it was.

    tracer: "meta", "fake" or "real". mode: torch's mode for fake tensors. Raises TraceError; a
    NeedsValuesError or NeedsGradientsError says which other run may succeed.
    """
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
                raise NeedsGradientsError(made_error.message, made_error.hint) from error
            if needs_values:
                needed = NeedsValuesError(made_error.message, made_error.hint)
                needed.after_choices = bool(recorder.positions.choices)
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
    notes = _notes(tracer, step, recorder.positions.choices if step.even_choices else ())
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


def _notes(tracer: str, step: TracedStep, even_choices: Collection[str]) -> tuple[str, ...]:
    """even_choices: operators whose choices were taken to be even."""
    notes = []
    if tracer == "real":
        notes.append(
            "computed with real values, which the model's control flow or one of its operators needs"
        )
    if even_choices:
        notes.append(
            f"choices by scores ({', '.join(sorted(even_choices))}), such as that of experts, are taken to "
            "be even, since the scores have no values"
        )
    if step.backward:
        whose = "parameters and inputs" if step.input_gradients else "parameters"
        notes.append(f"a training step: forward in training mode, then the gradients of {whose}")
    return tuple(notes)


def versions() -> dict[str, str]:
    return {"torch": torch.__version__, "python": platform.python_version()}


def input_specs(inputs: list[Tensor]) -> tuple[TensorSpec, ...]:
    return tuple([tensor_spec(tensor, "input") for tensor in inputs])
