"""ptflops: hooks on modules together with patched functions, or (`aten`) a dispatch mode."""

from __future__ import annotations

from addercost.counts.counting_tools.flop_counter import is_fused_on_a_cpu
from addercost.counts.counting_tools.seen import (
    ACTIVATIONS,
    ATTENTION,
    BATCH_NORM_LAYERS,
    CONVOLUTIONS,
    INSTANCE_NORM_LAYERS,
    KNOWN,
    LAYERS,
    LEFT_OUT,
    NORM_LAYERS,
    POOLS,
    RECURRENT,
    SHARED,
    UPSAMPLERS,
    Differences,
    NotModelled,
    Seen,
    by_spelling,
    layer_of,
)
from addercost.counts.norm_operators import BATCH_NORMS, ROW_NORMS

_ACTIVATIONS = {"ReLU": 2, "PReLU": 2, "ELU": 2, "GELU": 2, "LeakyReLU": 1, "ReLU6": 1, "SiLU": 1}
"""What a module counts for an element. Where the function that it calls is patched, that function counts as
well.
"""
_BY_SPELLING = frozenset((
    "add", "mul", "mm", "bmm", "addmm", "baddbmm", "mv", "dot", "addmv", "relu", "relu_", "_prelu_kernel",
    "elu", "elu_", "gelu", "silu", "silu_", "hardtanh", "hardtanh_", "_softmax", "_safe_softmax",
    "max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d",
))  # fmt: skip
_RNN_EXTRA = {"RNN": 1, "GRU": 7, "LSTM": 10}
_IN_LAYERS = "activations, norms and pools of modules"


def pytorch(one: Seen) -> Differences:
    """The number for the whole batch.

    A call outside torch's modules counts only if its function is patched: torch.add(x, y) and x.add(y) count,
    but x + y does not."""
    if one.shared:
        raise NotModelled(SHARED)
    if "MultiheadAttention" in one.inside:
        raise NotModelled("nn.MultiheadAttention, whose softmax may be patched")
    if one.is_op("_trilinear"):
        yield LEFT_OUT, -one.sites
    elif one.type not in KNOWN:
        yield from _elsewhere(one)
    elif one.type in RECURRENT:
        yield LEFT_OUT, -one.sites
        if one.first:
            layer = layer_of(one)
            extra = _RNN_EXTRA[layer.kind] * sum(hidden for _, hidden, _ in layer.cells)
            yield "recurrent layers: weights and its own formula", layer.rows * (layer.parameters + extra)
    elif one.type in LAYERS:
        if one.type in CONVOLUTIONS and one.has_unsqueezed:
            raise NotModelled("a convolution without a batch axis")
        if one.sites:
            yield "bias: 1 an output", one.biases
    elif one.type in NORM_LAYERS and one.call.name in (*BATCH_NORMS, *ROW_NORMS):
        doubled = one.type in BATCH_NORM_LAYERS | INSTANCE_NORM_LAYERS | {"GroupNorm"}
        scaled = one.call.optional_tensor("weight") is not None and doubled
        yield _IN_LAYERS, 0 if one.type == "SyncBatchNorm" else (2 if scaled else 1) * one.elements
    elif one.type in ACTIVATIONS and one.work.other:
        yield _IN_LAYERS, _ACTIVATIONS.get(one.type, 0) * one.elements
    elif one.type == "Softmax" and one.work.other:
        yield _IN_LAYERS, one.elements
    elif one.type in POOLS and one.work.other:
        if one.type[-2] == "1":
            raise NotModelled("pooling of one axis")
        yield _IN_LAYERS, 2 * one.elements
    elif one.type in UPSAMPLERS and one.name.startswith("upsample"):
        yield from _resized(one, twice=one.type == "Upsample")


def _elsewhere(one: Seen) -> Differences:
    if one.name in _BY_SPELLING or (one.is_op("mean") and one.call.args.get("keepdim")):
        raise by_spelling(one)
    if one.name.startswith("upsample"):
        yield from _resized(one, twice=False)
    elif one.sites:
        if not one.is_op("convolution", "scaled_dot_product_attention"):
            raise by_spelling(one)
        yield LEFT_OUT, -one.sites


def _resized(one: Seen, twice: bool) -> Differences:
    """interpolate counts its outputs. The hook of nn.Upsample additionally counts the outputs of one
    image.
    """
    out = one.call.output
    if any(
        after % before for before, after in zip(one.call.shape("self")[2:], out.shape[2:], strict=True)
    ) and any(value is not None for name, value in one.call.args.items() if name.startswith("scale")):
        raise NotModelled("upsampling by a scale that is no whole number")
    yield "upsampling: 1 an output", out.numel + (out.numel // out.shape[0] if twice else 0)


def aten(one: Seen) -> Differences:
    """Products by operator, and 1 for an output of an operator that adds a bias."""
    if one.type == "MultiheadAttention" or is_fused_on_a_cpu(one):
        yield ATTENTION, -one.sites
    elif one.type == "LSTM":
        if one.first and one.recurrent is None:
            raise NotModelled("an LSTM with projections, which may be one operator")
        yield "LSTM, one operator on a CPU", -one.sites
    elif one.is_op("convolution", "addmm"):
        bias = one.call.args.get("bias" if one.is_op("convolution") else "self")
        yield "bias: 1 an output", one.call.output.numel if bias is not None else 0
    elif one.sites and not one.is_op("mm", "bmm", "scaled_dot_product_attention"):
        yield LEFT_OUT, -one.sites
