"""A torch tensor's memory as a Halide buffer."""

from __future__ import annotations

from typing import Any

import halide as hl
from torch import Tensor


def halide_buffer(tensor: Tensor) -> Any:
    """A Halide buffer on the tensor's memory. The compiled code demands stride 1 of some axes, which torch
    leaves arbitrary where there is only one element."""
    if 1 in tensor.shape:
        strides = [1 if size == 1 else step for size, step in zip(tensor.shape, tensor.stride(), strict=True)]
        tensor = tensor.as_strided(tensor.shape, strides)
    return hl.Buffer(tensor.detach().numpy())
