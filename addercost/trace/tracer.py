"""Runs a model once, without data where possible, and returns its operator calls as a `Trace`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from addercost.errors import TraceError
from addercost.trace.attended_scores import with_values_of
from addercost.trace.decompositions import IsCounted
from addercost.trace.modules import ModuleTree
from addercost.trace.one_run import NeedsGradientsError, NeedsValuesError, TracedStep, traced_run
from addercost.trace.plain_calls import tensor_spec
from addercost.trace.record import PARAMETER, Trace
from addercost.trace.refusals import about_devices
from addercost.trace.singular_values import may_want_values_alone
from addercost.trace.sparse import dense_stand_in, with_stored
from addercost.trace.substitutes import mapped, meta_substitute, with_values, without_data, without_shape


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

    This tries the meta device, then the same with an even choice by scores, then fake tensors, then a run
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
    step = TracedStep(
        backward, input_gradients, is_counted, fuse_attention, memory, backward, False, equal_layers
    )

    def attempt() -> Trace:
        return _traced(model, args, kwargs, title, step, rebuild, known_values)

    try:
        made = attempt()
    except NeedsGradientsError:
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
    step: TracedStep,
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
        except NeedsGradientsError:
            raise
        except NeedsValuesError as error:
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


def _trace_meta(model: nn.Module, args: Any, kwargs: Any, name: str, step: TracedStep) -> Trace:
    def substitute(tensor: Tensor) -> Tensor:
        # A backward pass would otherwise leave its gradients on the model's own tensors.
        return meta_substitute(tensor, always=step.backward)

    args, kwargs = mapped(without_data, (args, kwargs))
    return traced_run(model, args, kwargs, name, "meta", substitute, step)


def _trace_fake(model: nn.Module, args: Any, kwargs: Any, name: str, step: TracedStep) -> Trace:
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
    return traced_run(model, *made, name, "fake", substitute, step, mode)


def _trace_real(
    model: nn.Module,
    args: Any,
    kwargs: Any,
    name: str,
    step: TracedStep,
    known_values: Callable[[Any], Any] = lambda value: value,
) -> Trace:
    needed = sum(tensor_spec(tensor, PARAMETER).n_bytes for tensor in _tensors_of(model))
    available = _available_memory_bytes()
    if available is not None and needed > available // 2:
        raise TraceError(
            f"{name} needs values to run, and its weights take {needed / 2**30:.1f} GiB, more than half of "
            f"the {available / 2**30:.1f} GiB that are free",
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

    return traced_run(model, mapped(convert, args), mapped(convert, kwargs), name, "real", substitute, step)


def _tensors_of(model: nn.Module) -> list[Tensor]:
    found = [tensor for _, _, _, tensor, _ in ModuleTree(model).tensors() if not is_lazy(tensor)]
    return list({id(tensor): tensor for tensor in found}.values())


def _available_memory_bytes() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None
