"""torch's FlopCounterMode: products by operator, on the CPU and on the meta device."""

from __future__ import annotations

from addercost.counts.counting_tools.seen import ATTENTION, Differences, NotModelled, Seen

_COUNTED = ("mm", "addmm", "bmm", "baddbmm", "convolution", "scaled_dot_product_attention")
_NOT_COUNTED = ("mv", "addmv", "dot", "vdot", "addbmm", "_trilinear")


def on_meta(one: Seen) -> Differences:
    if one.is_op(*_NOT_COUNTED):
        yield "operators that it does not know", -one.sites
    elif one.sites and not one.is_op(*_COUNTED):
        raise NotModelled(f"{one.name}, which it may not know")


def on_cpu(one: Seen) -> Differences:
    if "TransformerEncoderLayer" in one.inside:
        raise NotModelled("an encoder layer, which is one operator where no gradients are recorded")
    if one.type == "MultiheadAttention" or is_fused_on_a_cpu(one):
        yield ATTENTION, -one.sites
    elif one.type == "LSTM":
        if one.first and one.recurrent is None:
            raise NotModelled("an LSTM with projections, which may be one operator")
        yield "LSTM, one operator on a CPU", -one.sites
    else:
        yield from on_meta(one)


def is_fused_on_a_cpu(one: Seen) -> bool:
    """Whether torch runs this attention as one kernel on a CPU.

    It does for attention with four axes and values as wide as keys, and decomposes other attention. It also
    decomposes where the channels of a head are not neighbours in memory, which no trace shows.
    """
    if not one.is_op("scaled_dot_product_attention"):
        return False
    query, value = one.call.shape("query"), one.call.shape("value")
    return len(query) == 4 and query[-1] == value[-1]
