"""Layers: the calls that combine activations with weights, and those that a what-if puts in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from addercost.trace.record import ArgValue, OpCall, TensorSpec, Trace

CONVOLUTION = "aten.convolution"
PRODUCTS = {"aten.mm": ("self", "mat2"), "aten.addmm": ("mat1", "mat2")}
"""A linear layer's two operators, and the names of its input [n, C] and its weight [C, K]."""


def layer_indices(trace: Trace) -> list[int]:
    """Positions of the calls with weights on one side, in order."""
    # Every command imports the names of the what-ifs, and few of them need the rules.
    from addercost.counts.call_work import work_of

    indices = []
    for i, call in enumerate(trace.calls):
        work = work_of(call)
        if work is not None and any(sites.weighted for sites in work.sites):
            indices.append(i)
    return indices


def activation_products(trace: Trace) -> list[int]:
    """Positions of the calls that multiply activations by activations, as attention does; no gradients."""
    from addercost.counts.call_work import work_of

    indices = []
    for i, call in enumerate(trace.calls):
        work = None if "backward" in call.tags else work_of(call)
        if work is not None and work.sites and not any(sites.weighted for sites in work.sites):
            indices.append(i)
    return indices


def is_convolution(call: OpCall) -> bool:
    return call.name == CONVOLUTION and not call.args.get("transposed")


def weight(like: TensorSpec, suffix: str, shape: Sequence[int]) -> TensorSpec:
    """A parameter that takes the place of `like`, or of a part of it."""
    return TensorSpec(tuple(shape), like.dtype, "parameter", f"{like.name}/{suffix}")


def convolution(
    call: OpCall,
    x: TensorSpec,
    w: TensorSpec,
    out: TensorSpec,
    bias: bool,
    strided: bool,
    groups: int = 1,
) -> OpCall:
    """A convolution in the place of `call`; without `strided` one that keeps the size of its input."""
    spatial = len(w.shape) - 2
    ones, zeros = (1,) * spatial, (0,) * spatial
    keep = () if strided else (("stride", ones), ("padding", zeros), ("dilation", ones))
    args = {**call.args, "input": x, "weight": w, "groups": groups, **dict(keep)}
    return replace(call, args=args if bias else {**args, "bias": None}, outputs=(out,))


def product(call: OpCall, x: TensorSpec, w: TensorSpec, out: TensorSpec, bias: bool) -> OpCall:
    """A matrix product in the place of the linear layer `call`, [n, C]·[C, K], its bias kept or left out."""
    if bias and call.name == "aten.addmm":
        return replace(call, args={**call.args, "mat1": x, "mat2": w}, outputs=(out,))
    return replace(call, op="aten.mm.default", args={"self": x, "mat2": w}, outputs=(out,))


def resized(spec: TensorSpec, axis: int, size: int) -> TensorSpec:
    """The same tensor with another size along one axis; a parameter of another size is another tensor."""
    shape = list(spec.shape)
    shape[axis] = size
    return replace(spec, shape=tuple(shape))


def with_replaced_parameters(trace: Trace, calls: Sequence[OpCall], old: set[str]) -> Trace:
    """The trace with new calls, its parameters those that the calls now use in place of `old`.

    A view of a replaced parameter is no use of it: else the parameter would be counted again.
    """
    kept = {name: n for name, n in trace.parameters.items() if name not in old}
    made: dict[str, int] = {}
    changed = []
    for call in calls:
        specs = [spec for spec in call.tensors() if spec.role == "parameter"]
        if any(spec.name in old for spec in specs):
            call = replace(call, args={name: _without_role(value, old) for name, value in call.args.items()})
        made |= {spec.name: spec.numel for spec in specs if "/" in spec.name and spec.name not in kept}
        changed.append(call)
    return replace(trace, calls=tuple(changed), parameters={**kept, **made})


def _without_role(value: ArgValue, old: set[str]) -> ArgValue:
    if isinstance(value, TensorSpec) and value.role == "parameter" and value.name in old:
        return replace(value, role="derived")
    return value
