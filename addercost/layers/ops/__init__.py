"""The layers' operators: one torch op per layer, so that every tracer sees a layer as one call."""

from addercost.layers.ops import adder, binary, shift

__all__ = ["adder", "binary", "shift"]
