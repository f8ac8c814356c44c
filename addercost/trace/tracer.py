"""Runs a model once, without data where possible, and returns its operator calls as a `Trace`."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_flatten, tree_map

from addercost.errors import AddercostError, TraceError
from addercost.trace.attention import whole_attention
from addercost.trace.backward import GradientPaths
from addercost.trace.decompositions import Decompositions, IsCounted
from addercost.trace.modules import ModuleTree, replace_tensors, tracked, unchanged
from addercost.trace.plain_calls import tensor_spec
from addercost.trace.record import TensorSpec, Trace
from addercost.trace.recorder import Recorder
from addercost.trace.switches import countable_operators


def trace(
    model: nn.Module,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    name: str | None = None,
    rebuild: Callable[[], nn.Module] | None = None,
    backward: bool = False,
    input_gradients: bool = True,
    is_counted: IsCounted | None = None,
    fuse_attention: bool = True,
) -> Trace:
    """Traces one forward of `model` in evaluation mode; nothing is computed and no weight is read.

    args, kwargs: the forward's inputs, tensors anywhere inside them, on any device including meta.
    name: what to call the model; its class name by default.
    rebuild: makes the model again with real weights, for the rare model whose control flow needs values.
    backward: traces a training step instead: the forward in training mode, then the gradients of its loss, or
    of all its outputs, for every parameter that is not frozen. Each gradient's calls belong to the module
    whose forward made it necessary, and are tagged "backward".
    input_gradients: with `backward`, also the gradients of the floating-point inputs.
    is_counted: whether an operator is recorded as it is. Of the others the calls of their
    decomposition are recorded, where torch has one. None records every operator as it is.
    fuse_attention: scaled dot-product attention is one call; otherwise the calls of the products, the softmax
    and the copies that torch makes of it.

    Tries the meta device, then fake tensors, then a real run on the CPU, and says in `Trace.tracer` which one
    served. The model, the random states and torch's switches are left as they were, also when it raises.
    Raises TraceError, with the path of the layer that failed.
    """
    kwargs = dict(kwargs or {})
    title = name or type(model).__name__
    failures: list[TraceError] = []
    step = _TracedStep(backward, input_gradients, is_counted, fuse_attention)
    for tracer, attempt in (("meta", _trace_meta), ("fake", _trace_fake)):
        try:
            return attempt(model, args, kwargs, title, step)
        except TraceError as error:
            failures.append(error)
            if tracer == "meta" and not _wants_values(error) and not _about_devices(error):
                raise
    if not any(_wants_values(error) for error in failures):
        raise failures[0]
    return _trace_real(rebuild() if rebuild is not None else model, args, kwargs, title, step)


@dataclass(frozen=True, slots=True)
class _TracedStep:
    """What is traced: a forward in evaluation mode, or a training step; and which operators are whole."""

    backward: bool
    input_gradients: bool
    is_counted: IsCounted | None
    fuse_attention: bool


def _trace_meta(model: nn.Module, args: Any, kwargs: Any, name: str, step: _TracedStep) -> Trace:
    def substitute(tensor: Tensor) -> Tensor:
        # A backward pass would leave its gradients on the model's own tensors.
        return meta_substitute(tensor, always=step.backward)

    args, kwargs = tree_map(without_data, (args, kwargs))
    return _run(model, args, kwargs, name, "meta", substitute, step)


def meta_substitute(tensor: Tensor, always: bool = False) -> Tensor:
    """A copy of a parameter or buffer on the meta device; the tensor itself if it is there already, unless
    `always`.
    """
    if is_lazy(tensor):
        return _without_shape(tensor, "meta")
    if tensor.device.type == "meta" and not always:
        return tensor
    data = tensor.detach().to("meta")
    return nn.Parameter(data, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else data


def without_data(value: Any) -> Any:
    return value.detach().to("meta") if isinstance(value, Tensor) else value


def _trace_fake(model: nn.Module, args: Any, kwargs: Any, name: str, step: _TracedStep) -> Trace:
    from torch._subclasses.fake_tensor import FakeTensorMode

    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def fake(tensor: Tensor) -> Tensor:
        with mode:
            return torch.empty_like(tensor, device="cpu").detach()

    def substitute(tensor: Tensor) -> Tensor:
        if is_lazy(tensor):
            return _without_shape(tensor, "cpu")
        data = fake(tensor)
        return nn.Parameter(data, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else data

    def convert(value: Any) -> Any:
        return fake(value) if isinstance(value, Tensor) else value

    made = tree_map(convert, args), tree_map(convert, kwargs)
    return _run(model, *made, name, "fake", substitute, step, mode)


def _trace_real(model: nn.Module, args: Any, kwargs: Any, name: str, step: _TracedStep) -> Trace:
    needed = sum(tensor.numel() * tensor.element_size() for tensor in _tensors_of(model))
    available = _available_memory_bytes()
    if available is not None and needed > available // 2:
        raise TraceError(
            f"{name} needs values to run, and its weights take {needed / 2**30:.1f} GiB "
            f"of the {available / 2**30:.1f} GiB that are free",
            "trace a smaller configuration of it, or make its control flow independent of tensor values",
        )

    def substitute(tensor: Tensor) -> Tensor:
        if is_lazy(tensor):
            return _without_shape(tensor, "cpu")
        data = with_values(tensor)
        return nn.Parameter(data, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else data

    def convert(value: Any) -> Any:
        return with_values(value) if isinstance(value, Tensor) else value

    return _run(model, tree_map(convert, args), tree_map(convert, kwargs), name, "real", substitute, step)


def _without_shape(tensor: Tensor, device: str) -> Tensor:
    """A lazy module's parameter has no shape before its first forward, so there is nothing to copy."""
    made: Tensor = type(tensor)(device=device)
    return made


def with_values(tensor: Tensor) -> Tensor:
    """A copy on the CPU. In place of missing data it has random numbers, or zeros, a valid index, for
    integers.
    """
    if tensor.device.type != "meta":
        return tensor.detach().to("cpu", copy=True)
    if tensor.is_floating_point() or tensor.is_complex():
        return torch.randn(tensor.shape, dtype=tensor.dtype, device="cpu")
    return torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu")


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
    tree = ModuleTree(model)
    inputs = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    with ExitStack() as stack:
        stack.enter_context(countable_operators())
        if step.fuse_attention:
            stack.enter_context(whole_attention())
        stack.enter_context(unchanged(tree))
        names = replace_tensors(tree, substitute)
        for module in tree.modules:
            module.__dict__["training"] = step.backward
        calls = stack.enter_context(tracked(tree))
        gradients = GradientPaths(names) if step.backward else None
        decompositions = Decompositions(step.is_counted)
        recorder = Recorder(calls, tracer, names, inputs, gradients, decompositions)
        stack.enter_context(torch.set_grad_enabled(step.backward))
        if step.backward and step.input_gradients:
            for tensor in inputs:
                tensor.requires_grad_(tensor.is_floating_point() or tensor.is_complex())
        if mode is not None:
            stack.enter_context(mode)
        try:
            with recorder:
                output = model(*args, **kwargs)
                if step.backward:
                    recorder.run_backward(output, name)
        except AddercostError:
            raise
        except Exception as error:
            raise forward_error(name, calls.failed, error) from error
        # Read after the forward: a lazy module's parameters have a shape only now.
        parameters = {
            n: tensor.numel()
            for n, role, tensor in names.values()
            if role == "parameter" and not is_lazy(tensor)
        }
        return Trace(
            model=name,
            calls=recorder.calls(),
            modules=dict(calls.types),
            parameters=parameters,
            inputs=input_specs(inputs),
            tracer=tracer,
            versions=versions(),
            notes=_notes(tracer, step),
        )


def _notes(tracer: str, step: _TracedStep) -> tuple[str, ...]:
    notes = []
    if tracer == "real":
        notes.append("computed with real values: the model's control flow needs them")
    if step.backward:
        whose = "parameters and inputs" if step.input_gradients else "parameters"
        notes.append(f"a training step: forward in training mode, then the gradients of {whose}")
    return tuple(notes)


def versions() -> dict[str, str]:
    return {"torch": torch.__version__, "python": platform.python_version()}


def input_specs(inputs: list[Tensor]) -> tuple[TensorSpec, ...]:
    return tuple([tensor_spec(tensor, "input") for tensor in inputs])


def forward_error(name: str, failed: tuple[str, str] | None, error: Exception) -> TraceError:
    text = " ".join(str(error).split()) or type(error).__name__
    if len(text) > 400:
        text = text[:400] + " …"
    path, given = failed or ("", "")
    where = (f"layer {path}" if path else "its forward") + (f", given {given}," if given else "")
    return TraceError(
        f"{name} does not run on these inputs: {where} raised {type(error).__name__}: {text}",
        "check the shape and dtype given with --input",
    )


_NEEDS_VALUES = (
    "meta tensor",
    "on meta",
    "no data",
    "data-dependent",
    "datadependent",
    "dynamic output shape",
    "dynamicoutputshape",
    "'meta' backend",
    "fake tensor",
    "faketensor",
    "unsupported fake",
    "'meta' device",
    "device meta",
)


def _wants_values(error: TraceError) -> bool:
    """Whether the forward failed because it read a value, which a run without data does not have."""
    cause = error.__cause__
    text = f"{type(cause).__name__} {cause}".lower()
    return isinstance(cause, NotImplementedError) or any(sign in text for sign in _NEEDS_VALUES)


def _about_devices(error: TraceError) -> bool:
    return "device" in str(error.__cause__).lower()


def _available_memory_bytes() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None
