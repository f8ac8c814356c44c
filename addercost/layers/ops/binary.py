"""The binary operators: XNOR-Net's α_k · Σ sign(x)·sign(w), with straight-through gradients.

sign(0) is +1, so a tap in the zero padding is +1 too and contributes sign(w). Every tap is then one bit, and
the kernels need no mask. Implementations in which padded taps contribute nothing differ at the border.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.errors import ShapeError
from addercost.kernels import dispatch
from addercost.kernels.problem import Geometry, empty_output, output_shape
from addercost.kernels.ready import Call, like, without_data
from addercost.kernels.reference import binary_sign
from addercost.kernels.signs import WORD, words_of
from addercost.kernels.store import Store
from addercost.layers.ops import library
from addercost.layers.ops.fused import check_shortcut
from addercost.layers.ops.pair import Gradients, define_pair, product_gradients


def filter_scale(weight: Tensor) -> Tensor:
    """α_k = mean of |w| over filter k, shape [K]. Source: Rastegari et al., ECCV 2016, eq. 6."""
    return weight.flatten(1).abs().mean(1)


def _convolve(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    return dispatch.binary_forward(input, weight, geometry, filter_scale(weight))


def _gradients(
    grad: Tensor, input: Tensor, weight: Tensor, place: Sequence[Any], needed: Sequence[bool]
) -> Gradients:
    stride, (vertical, horizontal), dilation, groups = place
    scaled = binary_sign(weight) * filter_scale(weight)[:, None, None, None]
    padded = F.pad(binary_sign(input), (horizontal, horizontal, vertical, vertical), value=1.0)
    unpadded = (stride, [0, 0], dilation, groups)
    grad_input, grad_scaled = product_gradients(grad, padded, scaled, unpadded, needed)
    if grad_input is not None:
        height, width = input.shape[2:]
        inside = grad_input[:, :, vertical : vertical + height, horizontal : horizontal + width]
        grad_input = _straight_through(inside, input)
    return grad_input, None if grad_scaled is None else _weight_gradient(grad_scaled, weight)


def _straight_through(grad: Tensor, value: Tensor) -> Tensor:
    """∂sign(v)/∂v, approximated by 1 on [-1, 1] and 0 outside."""
    return grad * (value.abs() <= 1)


def _weight_gradient(grad_scaled: Tensor, weight: Tensor) -> Tensor:
    """The gradient through α·sign(w): the straight-through part, plus the share of α that every weight of the
    filter has.
    """
    sign = binary_sign(weight)
    through_scale = (grad_scaled * sign).flatten(1).mean(1).reshape(-1, *(1,) * (weight.dim() - 1))
    scale = filter_scale(weight).reshape(through_scale.shape)
    return _straight_through(grad_scaled, weight) * scale + through_scale * torch.sign(weight)


def _packed_shape(input: Tensor, words: Tensor, shape: Sequence[int], geometry: Geometry) -> list[int]:
    k, c, r, s = shape
    if input.dtype == torch.int32:
        if geometry.groups > 1 and c % WORD:
            raise ShapeError(f"{c} channels of a group are no whole words of signs")
        c = words_of(c)
    elif not input.is_floating_point():
        raise ShapeError(
            f"the layer takes floating point, or int32 words of signs; the input is {input.dtype}"
        )
    output = output_shape(input, (k, c, r, s), geometry)
    if words.device != input.device:
        raise ShapeError(f"input is on {input.device} and the packed weight is on {words.device}")
    return output


def _packed(
    operation: str, input: Tensor, words: Tensor, factors: Tensor, shape: list[int], *place: Any
) -> Tensor:
    geometry = Geometry.of(*place)
    _packed_shape(input, words, shape, geometry)
    k, c, r, s = shape
    output: Tensor = getattr(dispatch, operation)(input, words, factors, (k, c, r, s), geometry)
    return output


def _direct_packed(
    operation: str, input: Tensor, words: Tensor, factors: Tensor, shape: list[int], *place: Any
) -> Tensor:
    operands = (input, words, factors)
    made = dispatch.run_as_prepared(
        operation, _ready_packed, operands, operands, operation, tuple(shape), Geometry.of(*place)
    )
    return _packed(operation, *operands, shape, *place) if made is None else made


@lru_cache(maxsize=4096)
def _ready_packed(*likes: Any) -> Call | None:
    """The prepared operation for operands whose sizes, strides and types are `likes`; None where there is
    none. Raises as `_packed` does.
    """
    (input, words, factors), (operation, shape, geometry) = without_data(likes[:9]), likes[9:12]
    _packed_shape(input, words, shape, geometry)
    return dispatch.ready(operation, input, words, factors, shape, geometry)


def _fused_shape(
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shortcut: Tensor | None,
    shape: Sequence[int],
    geometry: Geometry,
) -> list[int]:
    output = _packed_shape(input, words, shape, geometry)
    check_shortcut(shortcut, output, factors.dtype if input.dtype == torch.int32 else input.dtype)
    return output


def _fused(
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shortcut: Tensor | None,
    least: float,
    most: float,
    shape: list[int],
    *place: Any,
) -> Tensor:
    """factor_k · Σ sign(x)·sign(w) + addend_k + shortcut, limited to `least` and `most`."""
    geometry = Geometry.of(*place)
    _fused_shape(input, words, factors, shortcut, shape, geometry)
    k, c, r, s = shape
    store = Store(least, most)
    return dispatch.binary_fused_forward(input, words, factors, (k, c, r, s), geometry, store, shortcut)


def _direct_fused(
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shortcut: Tensor | None,
    least: float,
    most: float,
    shape: list[int],
    *place: Any,
) -> Tensor:
    operation, checked = "binary_fused_forward", (input, words, factors)
    operands = checked if shortcut is None else (*checked, shortcut)
    store, sizes = Store(least, most), (tuple(shape), Geometry.of(*place), like(shortcut))
    made = dispatch.run_as_prepared(operation, _ready_fused, checked, operands, store, *sizes)
    return _fused(*checked, shortcut, least, most, shape, *place) if made is None else made


@lru_cache(maxsize=4096)
def _ready_fused(*likes: Any) -> Call | None:
    """The prepared operation for operands whose sizes, strides and types are `likes`; None where there is
    none. Raises as `_fused` does.
    """
    store, shape, geometry, of_shortcut = likes[9:13]
    input, words, factors, shortcut = without_data((*likes[:9], *of_shortcut))
    _fused_shape(input, words, factors, shortcut, shape, geometry)
    return dispatch.ready("binary_fused_forward", input, words, factors, shape, geometry, store, shortcut)


def _fused_fake(
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shortcut: Tensor | None,
    least: float,
    most: float,
    shape: list[int],
    *place: Any,
) -> Tensor:
    output = _fused_shape(input, words, factors, shortcut, shape, Geometry.of(*place))
    return empty_output(input, output, factors.dtype if input.dtype == torch.int32 else None)


def _packed_fake(input: Tensor, words: Tensor, factors: Tensor, shape: list[int], *place: Any) -> Tensor:
    output = _packed_shape(input, words, shape, Geometry.of(*place))
    return empty_output(input, output, factors.dtype if input.dtype == torch.int32 else None)


def _signs_fake(input: Tensor, words: Tensor, factors: Tensor, shape: list[int], *place: Any) -> Tensor:
    n, k, p, q = _packed_shape(input, words, shape, Geometry.of(*place))
    return empty_output(input, [n, words_of(k), p, q], torch.int32)


_PACKED = f"Tensor input, Tensor words, Tensor factors, int[] weight_shape, {library.GEOMETRY}"

conv2d_packed = library.define(
    "binary_conv2d_packed",
    _PACKED,
    partial(_packed, "binary_packed_forward"),
    _packed_fake,
    layer=True,
    direct=partial(_direct_packed, "binary_packed_forward"),
)
conv2d_fused = library.define(
    "binary_conv2d_fused",
    "Tensor input, Tensor words, Tensor factors, Tensor? shortcut, float least, float most, "
    f"int[] weight_shape, {library.GEOMETRY}",
    _fused,
    _fused_fake,
    layer=True,
    direct=_direct_fused,
)
conv2d_signs = library.define(
    "binary_conv2d_signs",
    _PACKED,
    partial(_packed, "binary_signs_forward"),
    _signs_fake,
    layer=True,
    direct=partial(_direct_packed, "binary_signs_forward"),
)
conv2d, linear = define_pair("binary", _convolve, _gradients)
