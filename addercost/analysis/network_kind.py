"""The kind of a traced network, by its convolutions and matrix products."""

from __future__ import annotations

import re

from addercost.trace.record import OpCall, Trace

KINDS = ("convolution", "depthwise", "matrix product")

DEPTHWISE_SHARE = 0.2
"""A network is of the depthwise kind if at least this share of its convolutions is depthwise."""

_CONVOLUTIONS = ("aten.convolution", "aten.conv2d", "aten._convolution")
_PRODUCTS = ("aten.addmm", "aten.mm", "aten.bmm", "aten.linear", "aten.matmul")


def network_kind(trace: Trace) -> str:
    """One of `KINDS`: "matrix product" where less than a quarter of the products are convolutions,
    "depthwise" where `DEPTHWISE_SHARE` of the convolutions are so, else "convolution"."""
    convolutions = [call for call in trace.calls if call.name in _CONVOLUTIONS]
    products = sum(call.name in _PRODUCTS for call in trace.calls)
    if 3 * len(convolutions) < products:
        return "matrix product"
    if sum(map(_is_depthwise, convolutions)) >= DEPTHWISE_SHARE * len(convolutions) > 0:
        return "depthwise"
    return "convolution"


def network_family(name: str) -> str:
    """The letters that a network's name begins with: `resnet` of resnet50d and of torchvision:resnet50."""
    found = re.match(r"[A-Za-z]+", name.partition(":")[2] or name)
    return found[0].lower() if found else ""


def _is_depthwise(call: OpCall) -> bool:
    groups = call.args.get("groups", 1)
    return isinstance(groups, int) and groups > 1 and groups == call.shape("weight")[0]
