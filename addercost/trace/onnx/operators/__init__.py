"""The translators of ONNX's operators, one file for each family."""

from __future__ import annotations

from addercost.trace.onnx.operators import (  # noqa: F401  (each registers its translators)
    elementwise,
    microsoft,
    movement,
    normalization,
    pooling,
    products,
    quantized,
    random_numbers,
    recurrent,
    reductions,
)
from addercost.trace.onnx.operators.registry import TRANSLATORS

__all__ = ["TRANSLATORS"]
