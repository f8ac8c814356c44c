"""TFLite's SVDF: products with an input, of which the last ones are kept and weighted over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from addercost.trace.record import IN_REGISTERS, ArgValue, OpCall, TensorSpec
from addercost.trace.tflite.node import TfliteNode
from addercost.trace.tflite.recurrent_layer import RecurrentLayer, into


def svdf(node: TfliteNode) -> Iterator[OpCall]:
    """x: [B, I], features: [F, I], time: [F, M], out: [B, F/rank].

    Each of F filters is a product with x. The last M products of a filter are weighted over time, and the
    results of one unit's filters are added.
    """
    x, features, time = (node.ranked(i, 2) for i in range(3))
    rank = max(node.operator.options.get("Rank", 1), 1)
    layer, out = RecurrentLayer(node, x), node.output
    filters, steps = time.shape
    kept = node.optional(4)
    if kept is not None:
        layer.dtype = kept.dtype
    sums = "int32" if layer.is_integer else out.dtype
    yield from layer.operands(x, features)
    yield from layer.sums([(x, features)], None)
    state = TensorSpec((layer.rows, filters, steps), layer.dtype)
    weights = replace(time, shape=(filters, 1, steps))
    weighted = TensorSpec((layer.rows, filters, 1), sums, IN_REGISTERS)
    settings: dict[str, ArgValue] = {
        "bias": None, "stride": (1,), "padding": (0,), "dilation": (1,), "transposed": False,
        "output_padding": (0,), "groups": filters,
    }  # fmt: skip
    given: dict[str, ArgValue] = {"input": state, "weight": weights, **settings}
    yield node.call("aten.convolution.default", given, [weighted])
    units = replace(weighted, shape=(layer.rows, filters // rank, rank))
    total = TensorSpec((layer.rows, filters // rank), sums, IN_REGISTERS)
    added = [node.call("aten.sum.dim_IntList", {"self": units}, [total])]
    bias = node.optional(3)
    if bias is not None:
        added.append(node.call("aten.add.Tensor", {"self": total, "other": bias}, [total]))
    if layer.is_integer:
        scale = "aten.quantize_per_tensor.default"
        yield from added
        yield from node.activated(lambda last: node.call(scale, {"self": total}, [last]), out)
    elif node.fused_activation:
        yield from added
        yield from node.activation(total, out)
    else:
        yield from into(iter(added), out)
