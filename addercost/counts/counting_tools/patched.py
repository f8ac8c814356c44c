"""calflops and DeepSpeed's profiler: they patch functions, which add up inside hooks on every module."""

from __future__ import annotations

from addercost.counts.counting_tools.seen import (
    CONVOLUTIONS,
    LAYERS,
    LEFT_OUT,
    RECURRENT,
    SHARED,
    Differences,
    NotModelled,
    Seen,
    by_spelling,
)


def calflops(one: Seen) -> Differences:
    if one.shared:
        raise NotModelled(SHARED)
    if one.is_op("scaled_dot_product_attention") and "MultiheadAttention" not in one.inside:
        yield LEFT_OUT, -one.sites
        return
    if one.type in CONVOLUTIONS and "Transpose" in one.type and one.sites:
        weight, groups = one.call.optional_tensor("weight"), one.call.args.get("groups")
        if weight is None or not isinstance(groups, int):
            raise NotModelled("a transposed convolution that is not torch's own")
        width = weight.shape[1]
        yield "transposed convolutions in groups", one.sites * (width // groups) // width - one.sites
    yield from _both(one)


def deepspeed(one: Seen) -> Differences:
    if one.is_op("scaled_dot_product_attention") and "MultiheadAttention" not in one.inside:
        return
    yield from _both(one)


def _both(one: Seen) -> Differences:
    if one.type in RECURRENT:
        yield "recurrent layers", -one.sites
    elif "MultiheadAttention" in one.inside or "TransformerEncoderLayer" in one.inside:
        raise NotModelled("attention of torch's own modules, which may be one operator")
    elif one.is_op("_trilinear"):
        yield LEFT_OUT, -one.sites
    elif one.sites and one.type not in LAYERS:
        raise by_spelling(one)
    elif one.type in CONVOLUTIONS and one.has_unsqueezed:
        raise NotModelled("a convolution without a batch axis")
