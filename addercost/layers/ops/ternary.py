"""The ternary operators: each row of inputs is rounded to 8 bits, and weights to -1, 0 and 1, with one scale
each.

Gradients pass straight through both roundings. Source: Ma et al., arXiv:2402.17764 (BitNet b1.58).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from addercost.errors import ShapeError
from addercost.kernels import dispatch
from addercost.kernels.narrow import PackedWeights, round_rows, round_weights
from addercost.kernels.problem import linear_shape
from addercost.kernels.ready import Call, like, without_data
from addercost.layers.ops import library

_PACKED = "ternary_packed_forward"
_EXACT_TERMS = 2**24 // 127
"""The most products of int8 and ±1 whose sum is exact in fp32."""


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    shape = linear_shape(input, weight, bias)
    if input.numel() == 0:
        return input.new_zeros(shape)
    x, step = round_rows(input.reshape(-1, input.shape[-1]))
    ternary, scale = round_weights(weight)
    wide = torch.float32 if weight.shape[1] <= _EXACT_TERMS else torch.float64
    sums = x.to(wide) @ ternary.to(wide).t()
    return _scaled(sums, step * scale, bias, input, shape)


def _scaled(sums: Tensor, scale: Tensor, bias: Tensor | None, input: Tensor, shape: list[int]) -> Tensor:
    out = sums.to(torch.float32) * scale
    if bias is not None:
        out = out + bias.float()
    return out.to(input.dtype).reshape(shape)


def _linear_fake(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return input.new_empty(linear_shape(input, weight, bias))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    input, weight = ctx.saved_tensors
    needed = ctx.needs_input_grad
    rows, x = grad.reshape(-1, grad.shape[-1]), input.reshape(-1, input.shape[-1])
    for_input = for_weight = None
    if needed[0]:
        ternary, scale = round_weights(weight)
        for_input = (rows @ (ternary * scale).to(rows.dtype)).reshape(input.shape)
    if needed[1]:
        if x.shape[0]:
            rounded, step = round_rows(x)
            for_weight = rows.t() @ (rounded * step).to(rows.dtype)
        else:
            for_weight = torch.zeros_like(weight)
    return for_input, for_weight, rows.sum(0) if needed[2] else None


def _packed(input: Tensor, words: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    shape = _packed_shape(input, words)
    if input.numel() == 0:
        return input.new_zeros(shape)
    x, step = round_rows(input.reshape(-1, input.shape[-1]))
    sums = dispatch.narrow_product(x, PackedWeights(words, input.shape[-1], 2))
    return _scaled(sums, step * scale, bias, input, shape)


def _direct_packed(input: Tensor, words: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    checked = input, words, scale
    operands = checked if bias is None else (*checked, bias)
    made = dispatch.run_as_prepared(_PACKED, _ready_packed, checked, operands, like(bias))
    return _packed(*checked, bias) if made is None else made


@lru_cache(maxsize=4096)
def _ready_packed(*likes: Any) -> Call | None:
    """The prepared layer for operands whose sizes, strides and types are `likes`; None where there is none.
    Raises as `_packed` does.
    """
    input, words, scale, bias = without_data((*likes[:9], *likes[9]))
    _packed_shape(input, words)
    return dispatch.ready(_PACKED, input, words, scale, bias)


def _packed_fake(input: Tensor, words: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    return input.new_empty(_packed_shape(input, words))


def _packed_shape(input: Tensor, words: Tensor) -> list[int]:
    if input.dim() < 1 or -(-input.shape[-1] // 256) * 64 != words.shape[1]:
        raise ShapeError(
            f"expected input [..., in] of {words.shape[1]} bytes a row, got {tuple(input.shape)}"
        )
    return [*input.shape[:-1], words.shape[0]]


linear = library.define(
    "ternary_linear",
    "Tensor input, Tensor weight, Tensor? bias",
    _linear,
    _linear_fake,
    save=_save,
    backward=_backward,
    rows=True,
)
linear_packed = library.define(
    "ternary_linear_packed",
    "Tensor input, Tensor words, Tensor scale, Tensor? bias",
    _packed,
    _packed_fake,
    direct=_direct_packed,
)
