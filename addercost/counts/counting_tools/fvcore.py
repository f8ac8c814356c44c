"""fvcore: it counts the operators of a jit trace, in which a layer such as an LSTM is one operator."""

from __future__ import annotations

from addercost.counts.conventions import is_adaptive_average
from addercost.counts.counting_tools.seen import (
    ADAPTIVE_AVERAGES,
    ATTENTION,
    BATCH_NORM_LAYERS,
    INSTANCE_NORM_LAYERS,
    LAYERS,
    RECURRENT,
    Differences,
    NotModelled,
    Seen,
)
from addercost.counts.norm_operators import BATCH_NORMS, ROW_NORMS, takes_batch_statistics

_NOT_COUNTED = "operators that it does not know"
_UNKNOWN_ADAPTIVE = "adaptive pooling that may be of one axis, which it does not know"


def fvcore(one: Seen) -> Differences:
    """Sites of layers and products, and fvcore's own figures for norms, pooling and resizing.

    fvcore counts nothing for a convolution with padding="same", which no trace shows.
    """
    if one.type == "MultiheadAttention" or one.is_op("scaled_dot_product_attention"):
        yield ATTENTION, -one.sites
    elif one.type in RECURRENT and not one.type.endswith("Cell"):
        yield "recurrent layers", -one.sites
    elif one.sites:
        yield from _product(one)
    elif one.call.name in (*BATCH_NORMS, *ROW_NORMS):
        yield from _norm(one)
    elif is_adaptive_average(one.call) or (one.type in ADAPTIVE_AVERAGES and one.is_op("mean")):
        if one.type in ("AdaptiveAvgPool1d", "AdaptiveAvgPool3d"):
            return
        if any(call.name == "aten.unsqueeze" for call in one.history(one.call.tensors()[0])):
            raise NotModelled(_UNKNOWN_ADAPTIVE)
        yield "adaptive pooling: 1 an input", one.elements
    elif one.is_op("upsample_bilinear2d", "grid_sampler_2d", "grid_sampler_3d"):
        yield "bilinear sampling: 4 an output", 4 * one.call.output.numel
    elif one.is_op("upsample_nearest2d"):
        yield "nearest interpolation: 1 an output", one.call.output.numel


def _product(one: Seen) -> Differences:
    if one.type in LAYERS or one.is_op("convolution"):
        return
    if one.is_op("baddbmm", "addbmm", "_trilinear"):
        yield _NOT_COUNTED, -one.sites
        return
    if not one.is_op("mm", "bmm", "addmm"):
        raise NotModelled(f"{one.name}, which it may see as another operator")
    for spec in one.call.tensors():
        views = one.history(spec)
        names = {view.name for view in views}
        if any(view.name == "aten.expand" and view.output.numel > view.tensors()[0].numel for view in views):
            raise NotModelled("a product of broadcast operands, which it counts only in part")
        if {"aten.unsqueeze", "aten.permute"} <= names:
            raise NotModelled("einsum, whose number it rounds")
        if one.is_op("mm") and "aten.transpose" in names and names & {"aten.clone", "aten._unsafe_view"}:
            raise NotModelled("a product that may be of broadcast operands")


def _norm(one: Seen) -> Differences:
    scaled = one.call.optional_tensor("weight") is not None
    if one.call.name in ROW_NORMS or one.type in INSTANCE_NORM_LAYERS:
        yield "other norms: 5 an element, 4 without scale", (5 if scaled else 4) * one.elements
    elif not takes_batch_statistics(one.call):
        yield "batch norm: 2 an element", (2 if scaled else 1) * one.elements
    elif one.type in BATCH_NORM_LAYERS:
        yield "batch norm: 5 an element, 4 without scale", (5 if scaled else 4) * one.elements
    else:
        raise NotModelled("a norm that may be instance norm or batch norm")
