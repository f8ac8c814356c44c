"""Adder convolutions for inference. Where they store their sums, they also compute the network's next
steps.
"""

from __future__ import annotations

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


def check_shortcut(shortcut: Tensor | None, shape: list[int], dtype: torch.dtype) -> None:
    """Raises ShapeError where a shortcut differs from the sums in shape or type."""
    if shortcut is not None and (list(shortcut.shape), shortcut.dtype) != (shape, dtype):
        raise ShapeError(
            f"the shortcut is {tuple(shortcut.shape)} {shortcut.dtype}, the output {tuple(shape)} {dtype}"
        )


def _fused_place(
    input: Tensor, weight: Tensor, shortcut: Tensor | None, place: Sequence[Any]
) -> tuple[Geometry, list[int]]:
    if input.dtype != weight.dtype or not input.is_floating_point():
        raise ShapeError(f"input is {input.dtype} and weight is {weight.dtype}: one floating-point type")
    geometry, shape = _place(input, weight, place)
    check_shortcut(shortcut, shape, input.dtype)
    return geometry, shape


def _fused(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    shortcut: Tensor | None,
    least: float,
    most: float,
    *place: Any,
) -> Tensor:
    """factor_k · -Σ|x - w| + addend_k + shortcut, limited to `least` and `most`."""
    geometry, shape = _fused_place(input, weight, shortcut, place)
    if input.numel() == 0:
        return empty_output(input, shape)
    return dispatch.adder_fused_forward(input, weight, factors, geometry, Store(least, most), shortcut)


def _direct_fused(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    shortcut: Tensor | None,
    least: float,
    most: float,
    *place: Any,
) -> Tensor:
    operation, checked = "adder_fused_forward", (input, weight, factors)
    operands = checked if shortcut is None else (*checked, shortcut)
    made = dispatch.run_as_prepared(
        operation, _ready_fused, checked, operands, least, most, Geometry.of(*place), like(shortcut)
    )
    return _fused(*checked, shortcut, least, most, *place) if made is None else made


@lru_cache(maxsize=4096)
def _ready_fused(*likes: Any) -> Call | None:
    """The prepared convolution for operands whose sizes, strides and types are `likes`; None where there is
    none. Raises as `_fused` does.
    """
    least, most, geometry, of_shortcut = likes[9:13]
    input, weight, factors, shortcut = without_data((*likes[:9], *of_shortcut))
    place = geometry.stride, geometry.padding, geometry.dilation, geometry.groups
    _fused_place(input, weight, shortcut, place)
    return dispatch.ready(
        "adder_fused_forward", input, weight, factors, geometry, Store(least, most), shortcut
    )


def _fused_fake(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    shortcut: Tensor | None,
    least: float,
    most: float,
    *place: Any,
) -> Tensor:
    return empty_output(input, _fused_place(input, weight, shortcut, place)[1])


def _coded_place(
    input: Tensor, weight: Tensor, shortcut: Tensor | None, place: Sequence[Any]
) -> tuple[Geometry, list[int]]:
    if input.dtype not in (torch.float32, torch.uint8) or weight.dtype != torch.uint8:
        raise ShapeError(
            f"expected an fp32 or uint8 input and a uint8 weight, got {input.dtype} and {weight.dtype}"
        )
    geometry, shape = _place(input, weight, place)
    check_shortcut(shortcut, shape, torch.float32)
    return geometry, shape


def _coded(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    shortcut: Tensor | None,
    scale: float,
    zero: int,
    least: float,
    most: float,
    next_scale: float | None,
    next_zero: int,
    *place: Any,
) -> Tensor:
    """factor_k · -Σ|q(x) - w| + addend_k + shortcut, limited to `least` and `most`.

    q rounds a float input to byte codes by `scale` and `zero`; an input of bytes is codes already. The result
    is fp32, or with `next_scale` the byte codes of that by `next_scale` and `next_zero`."""
    geometry, shape = _coded_place(input, weight, shortcut, place)
    if input.numel() == 0:
        return empty_output(input, shape, torch.float32 if next_scale is None else torch.uint8)
    store = Store(least, most, None if next_scale is None else Codes(next_scale, next_zero))
    return dispatch.adder_coded_forward(input, weight, factors, Codes(scale, zero), geometry, store, shortcut)


def _direct_coded(
    input: Tensor, weight: Tensor, factors: Tensor, shortcut: Tensor | None, *rest: Any
) -> Tensor:
    operation, checked, numbers, place = "adder_coded_forward", (input, weight, factors), rest[:6], rest[6:]
    operands = checked if shortcut is None else (*checked, shortcut)
    made = dispatch.run_as_prepared(
        operation, _ready_coded, checked, operands, *numbers, Geometry.of(*place), like(shortcut)
    )
    return _coded(*checked, shortcut, *rest) if made is None else made


@lru_cache(maxsize=4096)
def _ready_coded(*likes: Any) -> Call | None:
    """The prepared convolution for operands whose sizes, strides and types are `likes`; None where there is
    none. Raises as `_coded` does.
    """
    scale, zero, least, most, next_scale, next_zero, geometry, of_shortcut = likes[9:17]
    input, weight, factors, shortcut = without_data((*likes[:9], *of_shortcut))
    place = geometry.stride, geometry.padding, geometry.dilation, geometry.groups
    _coded_place(input, weight, shortcut, place)
    store = Store(least, most, None if next_scale is None else Codes(next_scale, next_zero))
    operands = (input, weight, factors, Codes(scale, zero), geometry, store, shortcut)
    return dispatch.ready("adder_coded_forward", *operands)


def _coded_fake(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    shortcut: Tensor | None,
    scale: float,
    zero: int,
    least: float,
    most: float,
    next_scale: float | None,
    next_zero: int,
    *place: Any,
) -> Tensor:
    dtype = torch.float32 if next_scale is None else torch.uint8
    return empty_output(input, _coded_place(input, weight, shortcut, place)[1], dtype)


conv2d_fused = library.define(
    "adder_conv2d_fused",
    "Tensor input, Tensor weight, Tensor factors, Tensor? shortcut, float least, float most, "
    f"{library.GEOMETRY}",
    _fused,
    _fused_fake,
    direct=_direct_fused,
)
conv2d_coded = library.define(
    "adder_conv2d_coded",
    "Tensor input, Tensor weight, Tensor factors, Tensor? shortcut, float scale, int zero, float least, "
    f"float most, float? next_scale, int next_zero, {library.GEOMETRY}",
    _coded,
    _coded_fake,
    direct=_direct_coded,
)
