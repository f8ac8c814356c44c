"""One convolution-shaped problem: how tensors and a geometry fit together. It is checked once for all
kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from addercost.errors import ShapeError

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Stride, padding and dilation as (height, width), and the number of groups."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @classmethod
    def of(cls, stride: list[int], padding: list[int], dilation: list[int], groups: int) -> Geometry:
        """From the arguments of an operator. Raises ShapeError for a stride, dilation or group count below 1,
        or a negative padding."""
        return _geometry(tuple(stride), tuple(padding), tuple(dilation), groups)

    def transposed(self) -> Geometry:
        """The same geometry with height and width exchanged."""
        (sy, sx), (py, px), (dy, dx) = self.stride, self.padding, self.dilation
        return Geometry((sx, sy), (px, py), (dx, dy), self.groups)

    def output_size(self, input_size: Pair, filter_size: Pair) -> Pair:
        """(P, Q) for an (H, W) input and an (R, S) filter; below 1 where the filter does not fit."""
        (h, w), (r, s) = input_size, filter_size
        (u, v), (top, left), (dy, dx) = self.stride, self.padding, self.dilation
        return (h + 2 * top - dy * (r - 1) - 1) // u + 1, (w + 2 * left - dx * (s - 1) - 1) // v + 1


@lru_cache(maxsize=1024)
def _geometry(
    stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...], groups: int
) -> Geometry:
    for name, value, least in (
        ("stride", stride, 1),
        ("padding", padding, 0),
        ("dilation", dilation, 1),
        ("groups", (groups, groups), 1),
    ):
        if len(value) != 2 or min(value) < least:
            raise ShapeError(f"{name} must be at least {least}, got {groups if name == 'groups' else value}")
    return Geometry((stride[0], stride[1]), (padding[0], padding[1]), (dilation[0], dilation[1]), groups)


def convolution_shape(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    geometry: Geometry,
    dtype: torch.dtype | None = None,
) -> list[int]:
    """The output shape [N, K, P, Q] of input [N, C, H, W] and weight [K, C/G, R, S].

    dtype: the type that both must have; None allows any floating-point type.
    Raises ShapeError when ranks, channels, groups, dtypes or devices do not fit, or when no output is left.
    """
    shape = output_shape(input, tuple(weight.shape), geometry)
    _check_tensors(input, weight, bias, weight.shape[0], dtype)
    return shape


def output_shape(input: Tensor, weight_shape: tuple[int, ...], geometry: Geometry) -> list[int]:
    """As `convolution_shape`, for a weight of which only the shape is known. Raises ShapeError when ranks,
    channels or groups do not fit, or when no output is left.
    """
    if input.dim() != 4 or len(weight_shape) != 4:
        raise ShapeError(
            f"expected input [N, C, H, W] and weight [K, C/groups, R, S], "
            f"got {_shape(input)} and {weight_shape}"
        )
    k, group_channels, r, s = weight_shape
    n, c, h, w = input.shape
    if c != group_channels * geometry.groups:
        raise ShapeError(
            f"input has {c} channels, weight {weight_shape} with groups={geometry.groups} "
            f"takes {group_channels * geometry.groups}"
        )
    if k % geometry.groups:
        raise ShapeError(f"{k} output channels do not divide into groups={geometry.groups}")
    p, q = geometry.output_size((h, w), (r, s))
    if p < 1 or q < 1:
        raise ShapeError(
            f"the output would be empty ({p}×{q}): input {h}×{w}, filter {r}×{s}, {geometry}",
            "use a larger input or more padding",
        )
    return [n, k, p, q]


def linear_shape(input: Tensor, weight: Tensor, bias: Tensor | None) -> list[int]:
    """The output shape [..., out] of input [..., in] and weight [out, in]. Raises ShapeError when shapes,
    dtypes or devices do not fit.
    """
    if input.dim() < 1 or weight.dim() != 2 or input.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"expected input [..., in] and weight [out, in], got {_shape(input)} and {_shape(weight)}"
        )
    _check_tensors(input, weight, bias, weight.shape[0], None)
    return [*input.shape[:-1], weight.shape[0]]


def _check_tensors(
    input: Tensor, weight: Tensor, bias: Tensor | None, outputs: int, dtype: torch.dtype | None
) -> None:
    if dtype is not None and input.dtype != dtype:
        raise ShapeError(f"the operator takes {_name(dtype)}, the input is {_name(input.dtype)}")
    if dtype is None and not input.is_floating_point():
        raise ShapeError(
            f"the layer computes in floating point, the input is {_name(input.dtype)}",
            "convert it with .float(), or use quantize_adder for an 8-bit layer",
        )
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is None:
            continue
        if tensor.dtype != input.dtype:
            raise ShapeError(f"input is {_name(input.dtype)} and {name} is {_name(tensor.dtype)}")
        if tensor.device != input.device:
            raise ShapeError(f"input is on {input.device} and {name} is on {tensor.device}")
    if bias is not None and (bias.dim() != 1 or bias.shape[0] != outputs):
        raise ShapeError(f"bias must have shape ({outputs},), got {_shape(bias)}")


def empty_output(input: Tensor, shape: list[int], dtype: torch.dtype | None = None) -> Tensor:
    """An uninitialised [N, K, P, Q] tensor in the layout that `output_layout` gives."""
    return torch.empty(
        shape, dtype=dtype or input.dtype, device=input.device, memory_format=output_layout(input)
    )


def output_layout(input: Tensor) -> torch.memory_format:
    """Channels-last if `input` is channels-last in memory and not also contiguous in NCHW order; otherwise
    NCHW. Words of signs are int32; where a pixel is one word, its stride says which layout they came from.
    """
    if input.dtype == torch.int32 and input.stride(1) == 1:
        return torch.channels_last
    if input.is_contiguous() or not input.is_contiguous(memory_format=torch.channels_last):
        return torch.contiguous_format
    return torch.channels_last


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """The type of sums: fp32 for half precision, otherwise the type itself."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def rows_as_image(rows: Tensor) -> Tensor:
    """[M, C] viewed as the image [1, C, 1, M], so that a linear layer is a 1×1 convolution. Nothing is
    copied.
    """
    return rows.t()[None, :, None, :]


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
