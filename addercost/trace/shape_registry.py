"""The table of functions that compute output shapes, and what these functions share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

FastShape: TypeAlias = Callable[..., Any]

FAST_SHAPES: dict[Any, FastShape] = {}
"""By operator. A function takes the operator's arguments and returns its outputs, or NotImplemented."""


def fast(*operators: Any) -> Callable[[FastShape], FastShape]:
    """Registers the decorated function for these operators."""

    def register(function: FastShape) -> FastShape:
        for operator in operators:
            FAST_SHAPES[operator] = function
        return function

    return register


def is_plain(tensor: Any) -> bool:
    """Whether a value is a contiguous tensor without data."""
    return isinstance(tensor, Tensor) and tensor.is_meta and tensor.is_contiguous()


def new(like: Tensor, shape: Sequence[int]) -> Tensor:
    """A tensor without data, of this shape and the dtype of `like`."""
    return torch.empty(shape, dtype=like.dtype, device="meta")
