"""The calls of layers, which combine activations with weights, and the calls that a what-if puts in their
place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from addercost.trace.record import ArgValue, OpCall, TensorSpec, Trace

CONVOLUTION = "aten.convolution"
PRODUCTS = {"aten.mm": ("self", "mat2"), "aten.addmm": ("mat1", "mat2")}
"""The two operators of a linear layer, with their names for the input [n, C] and the weight [C, K]."""


def layer_indices(trace: Trace) -> list[int]:
    """Indices of the calls that multiply by weights, in order."""
    # Every command imports the names of the what-ifs, and few of them need the rules.
    from addercost.counts.call_work import work_of

    indices = []
    for i, call in enumerate(trace.calls):
        work = work_of(call)
        if work is not None and any(sites.weighted for sites in work.sites):
            indices.append(i)
    return indices


def activation_products(trace: Trace) -> list[int]:
    """Indices of the calls that multiply activations by activations, as attention does, without gradients."""
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
    """A new parameter in place of `like`, or of a part of it."""
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
    """A convolution in place of `call`. Without `strided` it keeps the size of its input."""
    spatial = len(w.shape) - 2
    ones, zeros = (1,) * spatial, (0,) * spatial
    keep = () if strided else (("stride", ones), ("padding", zeros), ("dilation", ones))
    args = {**call.args, "input": x, "weight": w, "groups": groups, **dict(keep)}
    return replace(call, args=args if bias else {**args, "bias": None}, outputs=(out,))


def product(call: OpCall, x: TensorSpec, w: TensorSpec, out: TensorSpec, bias: bool) -> OpCall:
    """A matrix product [n, C]·[C, K] in place of the linear layer `call`, with or without its bias."""
    if bias and call.name == "aten.addmm":
        return replace(call, args={**call.args, "mat1": x, "mat2": w}, outputs=(out,))
    return replace(call, op="aten.mm.default", args={"self": x, "mat2": w}, outputs=(out,))


def resized(spec: TensorSpec, axis: int, size: int) -> TensorSpec:
    """The tensor with another size along one axis."""
    shape = list(spec.shape)
    shape[axis] = size
    return replace(spec, shape=tuple(shape))


def with_replaced_parameters(trace: Trace, calls: Sequence[OpCall], old: set[str]) -> Trace:
    """The trace with new calls, and with the parameters that these use in place of `old`.

    A view of a replaced parameter is not a use of it; otherwise the parameter would still be counted.
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
