"""Adder convolutions for inference. Where they store their sums, they also compute the network's next
steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from addercost.errors import ShapeError
from addercost.kernels import dispatch
from addercost.kernels.problem import Geometry, empty_output, output_shape
from addercost.kernels.ready import Call, like, without_data
from addercost.kernels.store import Codes, Store
from addercost.layers.ops import library


def _place(input: Tensor, weight: Tensor, place: Sequence[Any]) -> tuple[Geometry, list[int]]:
    geometry = Geometry.of(*place)
    shape = output_shape(input, tuple(weight.shape), geometry)
    if weight.device != input.device:
        raise ShapeError(f"input is on {input.device} and the weight is on {weight.device}")
    return geometry, shape


def _store(relu: bool, codes: Codes | None = None) -> Store:
    return Store(0.0 if relu else -math.inf, codes)


def _fused_place(
    input: Tensor, weight: Tensor, shortcut: Tensor | None, place: Sequence[Any]
) -> tuple[Geometry, list[int]]:
    if input.dtype != weight.dtype or not input.is_floating_point():
        raise ShapeError(f"input is {input.dtype} and weight is {weight.dtype}: one floating-point type")
    geometry, shape = _place(input, weight, place)
    if shortcut is not None and (list(shortcut.shape), shortcut.dtype) != (shape, input.dtype):
        raise ShapeError(
            f"the shortcut is {tuple(shortcut.shape)} {shortcut.dtype}, "
            f"the output {tuple(shape)} {input.dtype}"
        )
    return geometry, shape


def _fused(
    input: Tensor, weight: Tensor, factors: Tensor, shortcut: Tensor | None, relu: bool, *place: Any
) -> Tensor:
    """factor_k · -Σ|x - w| + addend_k + shortcut, with `relu` not below 0."""
    geometry, shape = _fused_place(input, weight, shortcut, place)
    if input.numel() == 0:
        return empty_output(input, shape)
    return dispatch.adder_fused_forward(input, weight, factors, geometry, _store(relu), shortcut)


def _direct_fused(
    input: Tensor, weight: Tensor, factors: Tensor, shortcut: Tensor | None, relu: bool, *place: Any
) -> Tensor:
    operation, checked = "adder_fused_forward", (input, weight, factors)
    operands = checked if shortcut is None else (*checked, shortcut)
    made = dispatch.run_as_prepared(
        operation, _ready_fused, checked, operands, relu, Geometry.of(*place), like(shortcut)
    )
    return _fused(*checked, shortcut, relu, *place) if made is None else made


@lru_cache(maxsize=4096)
def _ready_fused(*likes: Any) -> Call | None:
    """The prepared convolution for operands whose sizes, strides and types are `likes`; None where there is
    none. Raises as `_fused` does.
    """
    relu, geometry, of_shortcut = likes[9:12]
    input, weight, factors, shortcut = without_data((*likes[:9], *of_shortcut))
    place = geometry.stride, geometry.padding, geometry.dilation, geometry.groups
    _fused_place(input, weight, shortcut, place)
    return dispatch.ready("adder_fused_forward", input, weight, factors, geometry, _store(relu), shortcut)


def _fused_fake(
    input: Tensor, weight: Tensor, factors: Tensor, shortcut: Tensor | None, relu: bool, *place: Any
) -> Tensor:
    return empty_output(input, _fused_place(input, weight, shortcut, place)[1])


def _coded_place(input: Tensor, weight: Tensor, place: Sequence[Any]) -> tuple[Geometry, list[int]]:
    if input.dtype not in (torch.float32, torch.uint8) or weight.dtype != torch.uint8:
        raise ShapeError(
            f"expected an fp32 or uint8 input and a uint8 weight, got {input.dtype} and {weight.dtype}"
        )
    return _place(input, weight, place)


def _coded(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    scale: float,
    zero: int,
    relu: bool,
    next_scale: float | None,
    next_zero: int,
    *place: Any,
) -> Tensor:
    """factor_k · -Σ|q(x) - w| + addend_k, with `relu` not below 0.

    q rounds a float input to byte codes by `scale` and `zero`; an input of bytes is codes already. The result
    is fp32, or with `next_scale` the byte codes of that by `next_scale` and `next_zero`."""
    geometry, shape = _coded_place(input, weight, place)
    if input.numel() == 0:
        return empty_output(input, shape, torch.float32 if next_scale is None else torch.uint8)
    store = _store(relu, None if next_scale is None else Codes(next_scale, next_zero))
    return dispatch.adder_coded_forward(input, weight, factors, Codes(scale, zero), geometry, store)


def _direct_coded(input: Tensor, weight: Tensor, factors: Tensor, *rest: Any) -> Tensor:
    operands, numbers, place = (input, weight, factors), rest[:5], rest[5:]
    made = dispatch.run_as_prepared(
        "adder_coded_forward", _ready_coded, operands, operands, *numbers, Geometry.of(*place)
    )
    return _coded(*operands, *rest) if made is None else made


@lru_cache(maxsize=4096)
def _ready_coded(*likes: Any) -> Call | None:
    """The prepared convolution for operands whose sizes, strides and types are `likes`; None where there is
    none. Raises as `_coded` does.
    """
    input, weight, factors = without_data(likes[:9])
    scale, zero, relu, next_scale, next_zero, geometry = likes[9:15]
    _coded_place(input, weight, (geometry.stride, geometry.padding, geometry.dilation, geometry.groups))
    store = _store(relu, None if next_scale is None else Codes(next_scale, next_zero))
    return dispatch.ready("adder_coded_forward", input, weight, factors, Codes(scale, zero), geometry, store)


def _coded_fake(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    scale: float,
    zero: int,
    relu: bool,
    next_scale: float | None,
    next_zero: int,
    *place: Any,
) -> Tensor:
    dtype = torch.float32 if next_scale is None else torch.uint8
    return empty_output(input, _coded_place(input, weight, place)[1], dtype)


conv2d_fused = library.define(
    "adder_conv2d_fused",
    f"Tensor input, Tensor weight, Tensor factors, Tensor? shortcut, bool relu, {library.GEOMETRY}",
    _fused,
    _fused_fake,
    direct=_direct_fused,
)
conv2d_coded = library.define(
    "adder_conv2d_coded",
    "Tensor input, Tensor weight, Tensor factors, float scale, int zero, bool relu, float? next_scale, "
    f"int next_zero, {library.GEOMETRY}",
    _coded,
    _coded_fake,
    direct=_direct_coded,
)
