"""The layers' operators. Each layer is one torch operator, so every tracer sees a layer as one call."""

from addercost.layers.ops import adder, binary, shift

__all__ = ["adder", "binary", "shift"]
