"""The number that other counting tools report for a trace, and where each differs from the MAC sites.

A rule states what its tool does on a CPU in evaluation mode; tests and `benchmarks/tracing.py` compare it
with the tool itself. Tools that watch modules count the calls of the classes they know. Such a tool leaves
out what is called as a function, and the products inside an attention module.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from addercost.counts.call_work import work_of
from addercost.counts.norm_operators import BATCH_NORMS, ROW_NORMS
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall, Trace


@dataclass(frozen=True, slots=True)
class ToolCount:
    """One tool's number, and by what it differs from the MAC sites.

    reported: the number that it prints, in `unit`. per_site: 1 for tools that count MACs, 2 for those that
    count FLOPs. differences: by cause, in MACs (`reported / per_site` = MAC sites + their sum).
    """

    tool: str
    unit: str
    per_site: int
    reported: int
    mac_sites: int
    differences: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Seen:
    """One call as a tool sees it: its module's class and parameters, and the module's last output shape."""

    call: OpCall
    work: OperatorWork
    type: str
    module_shape: tuple[int, ...]


Differences = Iterable[tuple[str, int]]
_LEFT_OUT = "products outside the layers it knows"
_ATTENTION = "attention, fused on a CPU"


def reconcile(trace: Trace) -> tuple[ToolCount, ...]:
    """One entry for each of `TOOLS`. Operators that no rule counts are left out."""
    shapes: dict[str, tuple[int, ...]] = {}
    for call in trace.calls:
        if call.outputs:
            shapes[call.module] = call.output.shape
    seen = [
        _Seen(call, work, trace.modules.get(call.module, ""), shapes.get(call.module, ()))
        for call in trace.calls
        if (work := work_of(call)) is not None
    ]
    sites = sum(one.work.mac_sites for one in seen)
    counts = []
    for tool, (unit, per_site, rule) in TOOLS.items():
        differences: dict[str, int] = {}
        for one in seen:
            for cause, amount in rule(one):
                if amount:
                    differences[cause] = differences.get(cause, 0) + amount
        reported = per_site * (sites + sum(differences.values()))
        counts.append(ToolCount(tool, unit, per_site, reported, sites, differences))
    return tuple(counts)


def _elements(one: _Seen) -> int:
    return next((spec.numel for spec in one.call.tensors()), 0)


def _biases(one: _Seen) -> int:
    return sum(site.biased for site in one.work.sites)


def _is(one: _Seen, *names: str) -> bool:
    return one.call.name.removeprefix("aten.") in names


_CONVOLUTIONS = frozenset(f"Conv{kind}{axes}d" for kind in ("", "Transpose") for axes in (1, 2, 3))
_LAYERS = frozenset(f"{lazy}{layer}" for lazy in ("", "Lazy") for layer in (*_CONVOLUTIONS, "Linear"))
"""Classes of torch whose calls the tools know. They know a class itself, not one that is called similarly."""


def _linear_or_convolution(one: _Seen) -> bool:
    """The call is the product of a convolution or linear module."""
    return one.type in _LAYERS


def _in_attention(one: _Seen) -> bool:
    return one.type == "MultiheadAttention"


def _without_functional(one: _Seen) -> Differences:
    if one.work.mac_sites and not _linear_or_convolution(one):
        yield _LEFT_OUT, -one.work.mac_sites


def _thop_old(one: _Seen) -> Differences:
    yield from _without_functional(one)
    if one.type in _CONVOLUTIONS:
        yield "convolution bias: 1 an output", _biases(one)
    if one.call.name in BATCH_NORMS and one.type.startswith("BatchNorm"):
        yield "batch norm: 2 an element", 2 * _elements(one)
    yield from _thop_pooling(one, window_extra=1)


def _thop_pooling(one: _Seen, window_extra: int) -> Differences:
    out = one.call.output.numel
    if one.type.startswith("AdaptiveAvgPool") and (_is_average(one)):
        yield "adaptive pooling: its window and 1 an output", _elements(one) + out
    elif one.type.startswith("AvgPool") and _is_average(one):
        window = (one.work.other.total // out) if out else 0
        yield "average pooling", out * (window + 1 if window_extra else 1)


def _is_average(one: _Seen) -> bool:
    return "avg_pool" in one.call.name or one.call.name == "aten.mean"


def _thop_new(one: _Seen) -> Differences:
    yield from _without_functional(one)
    if one.call.name in (*BATCH_NORMS, *ROW_NORMS) and one.type.startswith(
        ("BatchNorm", "LayerNorm", "Instance")
    ):
        scaled = one.call.optional_tensor("weight") is not None
        yield "norms: 4 an element", (4 if scaled else 2) * _elements(one)
    if one.type == "PReLU" and _is(one, "_prelu_kernel"):
        yield "PReLU: 1 an element", _elements(one)
    if one.type == "Softmax" and _is(one, "_softmax"):
        x = _elements(one)
        dim = one.call.args.get("dim")
        rows = x // max(one.call.shape("self")[dim], 1) if isinstance(dim, int) and x else 0
        yield "softmax: 3 an element less 1 a row", 3 * x - rows
    yield from _thop_pooling(one, window_extra=0)


def _is_global_average(one: _Seen) -> bool:
    """Adaptive pooling to one element arrives as a mean over the last two axes that keeps them."""
    args = one.call.args
    as_pooling = args.get("dim") == (-1, -2) and bool(args.get("keepdim"))
    return _is(one, "mean") and (as_pooling or one.type.startswith("AdaptiveAvgPool"))


def _fvcore(one: _Seen) -> Differences:
    if _in_attention(one) or _is(one, "scaled_dot_product_attention"):
        yield _ATTENTION, -one.work.mac_sites
        return
    scaled = one.call.optional_tensor("weight") is not None
    if one.call.name in BATCH_NORMS:
        yield "batch norm: 2 an element", (2 if scaled else 1) * _elements(one)
    elif one.call.name in ROW_NORMS:
        yield "layer and group norm: 5 an element", (5 if scaled else 4) * _elements(one)
    elif _is(one, "_adaptive_avg_pool2d", "_adaptive_avg_pool3d") or _is_global_average(one):
        yield "adaptive pooling: 1 an input", _elements(one)
    elif _is(one, "upsample_bilinear2d"):
        yield "bilinear interpolation: 4 an output", 4 * one.call.output.numel
    elif _is(one, "upsample_nearest2d"):
        yield "nearest interpolation: 1 an output", one.call.output.numel


_PTFLOPS_ACTIVATIONS = ("ReLU", "PReLU", "ELU", "LeakyReLU", "ReLU6", "GELU")
_PTFLOPS_POOLS = ("MaxPool", "AvgPool", "AdaptiveMaxPool", "AdaptiveAvgPool")


def _ptflops(one: _Seen) -> Differences:
    """ptflops hooks modules and patches functions. An activation or pooling module calls a patched function,
    so it counts twice. Products and softmax called as functions count, linear layers called so do not."""
    arithmetic = bool(one.work.mac_sites or one.work.other)
    if _in_attention(one):
        yield "bias: 1 an output", _biases(one)
        if _is(one, "_softmax", "_safe_softmax"):
            yield "softmax: 1 an element", _elements(one)
        elif _is(one, "mul"):
            yield "scaling of the query", one.call.output.numel
        elif _is(one, "scaled_dot_product_attention"):
            yield "softmax: 1 an element", one.work.sites[0].outputs
            yield "scaling of the query", _elements(one)
        return
    if _linear_or_convolution(one):
        yield "bias: 1 an output", _biases(one)
    elif _is(one, "scaled_dot_product_attention") or any(site.weighted for site in one.work.sites):
        yield _LEFT_OUT, -one.work.mac_sites
    elif _is(one, "_softmax", "_safe_softmax"):
        yield "softmax: 1 an element", _elements(one)
    elif one.call.name in (*BATCH_NORMS, *ROW_NORMS):
        scaled = one.call.optional_tensor("weight") is not None and one.type != "LayerNorm"
        yield "norms: 2 an element, layer norm 1", (2 if scaled else 1) * _elements(one)
    elif one.type in _PTFLOPS_ACTIVATIONS and arithmetic:
        yield "activations: 2 an element", 2 * _elements(one)
    elif one.type.startswith(_PTFLOPS_POOLS) and arithmetic:
        yield "pooling: 2 an input", 2 * _elements(one)


def _torchinfo(one: _Seen) -> Differences:
    """Parameters times the batch, for convolutions also times the image. torchinfo does not see the middle
    axes of a linear layer's input, nor a module that has no `weight` or `bias`."""
    parameters = {
        spec.name: spec.numel
        for spec in one.call.tensors()
        if spec.name.rpartition(".")[0] == one.call.module and spec.name.endswith(("weight", "bias"))
    }
    yield "products left out", -one.work.mac_sites
    if not parameters or "view" in one.call.tags or not one.module_shape:
        return
    times = one.module_shape[0]
    if "Conv" in one.type:
        times *= math.prod(one.module_shape[2:])
    names = {name.rpartition(".")[2]: n for name, n in parameters.items()}
    if set(names) <= {"weight", "bias"}:
        yield "parameters times the batch", times * sum(names.values())


def _is_fused_on_a_cpu(one: _Seen) -> bool:
    """torch has one kernel for attention with four axes and values as wide as keys, and takes other attention
    apart. It does so too where the channels of a head are not neighbours in memory, which no trace says.
    """
    if not _is(one, "scaled_dot_product_attention"):
        return False
    query, value = one.call.shape("query"), one.call.shape("value")
    return len(query) == 4 and query[-1] == value[-1]


def _flop_counter_on_cpu(one: _Seen) -> Differences:
    if _in_attention(one) or _is_fused_on_a_cpu(one):
        yield _ATTENTION, -one.work.mac_sites


def _sites(one: _Seen) -> Differences:
    return ()


_ToolRule = Callable[[_Seen], Differences]
TOOLS: Mapping[str, tuple[str, int, _ToolRule]] = {
    "thop, April 2020 to June 2022": ("MACs", 1, _thop_old),
    "thop 0.1.1": ("MACs", 1, _thop_new),
    "fvcore 0.1.5, timm": ("FLOPs", 1, _fvcore),
    "ptflops 0.7": ("MACs", 1, _ptflops),
    "torchinfo 1.8": ("mult-adds", 1, _torchinfo),
    "torch FlopCounterMode on the CPU": ("FLOPs", 2, _flop_counter_on_cpu),
    "torch FlopCounterMode on meta": ("FLOPs", 2, _sites),
    "torchvision _ops": ("GFLOPS", 1, _sites),
}
"""By name: (the tool's word for its unit, units a MAC, differences of one call)."""
