"""torchinfo: the parameters of each layer times the batch, and for convolutions also times the pixels."""

from __future__ import annotations

import math

from addercost.counts.counting_tools.seen import (
    CONVOLUTIONS,
    KNOWN,
    LAYERS,
    RECURRENT,
    SHARED,
    Differences,
    NotModelled,
    Seen,
    layer_of,
)


def torchinfo(one: Seen) -> Differences:
    """torchinfo ignores the middle axes of a linear layer's input, and modules without `weight` and
    `bias`.
    """
    yield "products left out", -one.sites
    if one.shared:
        raise NotModelled(SHARED)
    if one.borrows and one.type in KNOWN:
        raise NotModelled("a layer that uses another one's weights")
    if not one.first:
        return
    own = {name: n for name, n in one.own.items() if "weight" in name or "bias" in name}
    if not own or not one.leaf:
        return
    if one.type in RECURRENT:
        layer = layer_of(one)
        hidden = layer.cells[0][1] if layer.cell else 1
        yield "parameters times the batch", layer.rows * hidden * sum(own.values())
        return
    if one.type not in KNOWN or set(own) - {"weight", "bias"} or not one.shape:
        raise NotModelled("a module of the model's own with weights, whose output a trace does not record")
    times = one.shape[0]
    if one.type in LAYERS and one.type.removeprefix("Lazy") in CONVOLUTIONS:
        times *= math.prod(one.shape[2:])
    yield "parameters times the batch", one.calls * times * sum(own.values())
