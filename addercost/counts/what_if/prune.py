"""Structured pruning: only a share of each layer's channels is kept."""

from __future__ import annotations

from dataclasses import replace

from addercost.counts.what_if.registry import alternative
from addercost.errors import ArgumentError
from addercost.trace.record import OpCall, TensorSpec, Trace, map_tensors


@alternative("prune", "a share of every layer's channels is kept; input and classes stay", "share kept")
def prune(trace: Trace, layers: frozenset[int], share: float) -> Trace:
    """Between the first layer's output and the last layer's input, every channel count C becomes max(1,
    round(share·C)).

    Inner layers keep share² of their sites; the first and the last layer, and element-wise operators, keep
    share of theirs. `layers` is not used, because the channels between two layers belong to both. This is
    defined for networks of convolution and linear layers. Raises ArgumentError for a network with products of
    activations, whose channels are also positions. Source: Li et al., ICLR 2017 (filter pruning).
    """
    from addercost.counts.call_work import work_of

    weighted = []
    for i, call in enumerate(trace.calls):
        work = work_of(call)
        sites = work.sites if work else ()
        if any(not site.weighted for site in sites):
            raise ArgumentError(
                f"what-if prune does not know the channels of {call.name} in {call.module or trace.model}",
                "it is for networks of convolution and linear layers",
            )
        if sites:
            weighted.append(i)
    if not weighted:
        return trace
    first, last = weighted[0], weighted[-1]
    calls = [
        _pruned(call, share, inputs=i > first, outputs=i < last, layer=i in weighted)
        if first <= i <= last
        else call
        for i, call in enumerate(trace.calls)
    ]
    sizes = dict(trace.parameters)
    for call in calls:
        if "view" in call.tags:
            continue  # A view does not say which of its axes the layer keeps.
        sizes |= {spec.name: spec.numel for spec in call.parameters() if spec.name in sizes}
    return replace(trace, calls=tuple(calls), parameters=sizes)


def _pruned(call: OpCall, share: float, inputs: bool, outputs: bool, layer: bool) -> OpCall:
    def kept(channels: int) -> int:
        return max(1, round(share * channels))

    groups = call.args.get("groups")
    # A convolution of one input channel passes for a depthwise one: both keep that channel.
    depthwise = isinstance(groups, int) and layer and call.shape("weight")[1] == 1
    # The weight of a linear layer is transposed here, [in, out].
    in_axis, out_axis = (0, 1) if call.name in ("aten.mm", "aten.addmm") else (1, 0)

    def change(name: str, spec: TensorSpec) -> TensorSpec:
        shape = list(spec.shape)
        if layer and name in ("weight", "mat2"):
            if inputs and not depthwise:
                shape[in_axis] = kept(shape[in_axis])
            if outputs:
                shape[out_axis] = kept(shape[out_axis])
        elif len(shape) == 1 and spec.role in ("parameter", "buffer"):
            if outputs:
                shape[0] = kept(shape[0])
        elif spec.role == "parameter":
            # This is a view of a weight, so both of its axes are channels.
            shape = [kept(size) if axis < 2 else size for axis, size in enumerate(shape)]
        elif len(shape) > 1 and (outputs if name == "" else inputs):
            shape[1] = kept(shape[1])
        return replace(spec, shape=tuple(shape))

    changed = map_tensors(call, change)
    if depthwise and isinstance(groups, int):
        changed = replace(changed, args={**changed.args, "groups": kept(groups)})
    return changed
