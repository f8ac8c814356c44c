"""Colours that colour-blind readers can distinguish, and hatches for prints in black and white.

Source of the colours: Okabe and Ito, Color Universal Design, 2008.
"""

from __future__ import annotations

from addercost.arithmetic import OpClass

ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#999999"

DARK, PALE = "#595959", "#d9d9d9"

INK = "#1a1a1b"
"""The colour of text and lines, and of nothing else: an HTML page replaces it by its own text colour."""

SERIES = ((BLUE, ""), (ORANGE, "///"), (GREEN, "..."), (PURPLE, "xxx"), (SKY, "\\\\\\"), (VERMILLION, "+++"))
"""(colour, hatch) of the first, second, … compared thing."""

MARKERS = "osD^vP"

OP_CLASSES = {
    OpClass.MUL: (VERMILLION, ""),
    OpClass.ADD: (BLUE, ""),
    OpClass.COMPARE: (GREEN, ""),
    OpClass.ABS: (SKY, "///"),
    OpClass.DIVIDE: (PURPLE, ""),
    OpClass.SQRT: (PURPLE, "xxx"),
    OpClass.TRANSCENDENTAL: (ORANGE, "..."),
    OpClass.XNOR: (ORANGE, ""),
    OpClass.POPCOUNT: (YELLOW, "///"),
    OpClass.SHIFT: (GREEN, "\\\\\\"),
    OpClass.LOGIC: (GREY, ""),
}

LAYER_KINDS = {
    "convolution": BLUE,
    "matrix product": ORANGE,
    "normalisation": GREEN,
    "activation": PURPLE,
    "pooling": SKY,
    "other": GREY,
}
"""The colours of an icicle's leaves, by the kind of layer."""

_WORDS = (
    ("convolution", ("conv",)),
    ("matrix product", ("linear", "mm", "matmul", "attention", "einsum", "bilinear")),
    ("normalisation", ("norm",)),
    ("pooling", ("pool",)),
    ("activation", ("relu", "gelu", "silu", "sigmoid", "tanh", "softmax", "swish", "elu", "clamp")),
)


def layer_kind(op: str) -> str:
    """Which of LAYER_KINDS an operator such as `convolution` or `native_batch_norm` belongs to."""
    for kind, words in _WORDS:
        if any(word in op for word in words):
            return kind
    return "other"
