"""Output shapes of the most common operators, computed here instead of by torch's meta kernels.

torch also computes them in Python, which takes 0.1 to 1 ms for a call, and its first call imports a compiler
stack, which takes a second. These functions take microseconds. Each handles only the plain case (data-free
contiguous tensors of one dtype) and returns NotImplemented for everything else, wrong arguments included, so
that torch decides those. FAST_SHAPES maps an operator to its function, and a test compares each function with
torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from addercost.trace import attention as _attention  # noqa: F401  (registers its shape)
from addercost.trace import pooling_shapes as _pooling_shapes  # noqa: F401  (registers them)
from addercost.trace.shape_registry import FAST_SHAPES, fast, is_plain, new

__all__ = ["FAST_SHAPES"]

_aten = torch.ops.aten


@fast(_aten.convolution.default)
def _convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
) -> Any:
    spatial = weight.dim() - 2
    if (
        transposed
        or not is_plain(input)
        or not is_plain(weight)
        or input.dim() != weight.dim()
        or input.dtype != weight.dtype
        or not len(stride) == len(padding) == len(dilation) == spatial
        or min(stride) < 1
        or min(padding) < 0
        or min(dilation) < 1
        or groups < 1
        or weight.shape[0] % groups
        or input.shape[1] != weight.shape[1] * groups
        or (bias is not None and (bias.shape != weight.shape[:1] or bias.dtype != input.dtype))
    ):
        return NotImplemented
    out = [
        (size + 2 * pad - step * (taps - 1) - 1) // move + 1
        for size, pad, step, taps, move in zip(
            input.shape[2:], padding, dilation, weight.shape[2:], stride, strict=True
        )
    ]
    if min(input.shape) < 1 or min(out) < 1:
        return NotImplemented
    return new(input, [input.shape[0], weight.shape[0], *out])


@fast(_aten.native_batch_norm.default)
def _native_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    if training or not is_plain(input) or input.dim() < 2 or mean is None or var is None:
        return NotImplemented
    channels = input.shape[1:2]
    if any(p is not None and p.shape != channels for p in (weight, bias, mean, var)):
        return NotImplemented
    return new(input, input.shape), new(input, (0,)), new(input, (0,))


@fast(_aten.native_layer_norm.default)
def _native_layer_norm(
    input: Tensor, normalized_shape: list[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Any:
    normalized = tuple(normalized_shape)
    if (
        not is_plain(input)
        or not normalized
        or tuple(input.shape[-len(normalized) :]) != normalized
        or any(p is not None and (p.shape != normalized or p.dtype != input.dtype) for p in (weight, bias))
        or input.dtype in (torch.float16, torch.bfloat16)  # The statistics then have another dtype.
    ):
        return NotImplemented
    statistics = [*input.shape[: -len(normalized)], *[1] * len(normalized)]
    return new(input, input.shape), new(input, statistics), new(input, statistics)


@fast(_aten.mm.default)
def _mm(a: Tensor, b: Tensor) -> Any:
    if not a.is_meta or a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[0] or a.dtype != b.dtype:
        return NotImplemented
    if a.layout is not torch.strided and b.layout is not torch.strided:
        return NotImplemented
    return new(a, (a.shape[0], b.shape[1]))


@fast(_aten.addmm.default)
def _addmm(bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Any:
    if bias.dim() != 1 or b.dim() != 2 or bias.shape[0] != b.shape[1] or bias.dtype != a.dtype:
        return NotImplemented
    return _mm(a, b)


@fast(_aten.bmm.default)
def _bmm(a: Tensor, b: Tensor) -> Any:
    if (
        not a.is_meta
        or a.dim() != 3
        or b.dim() != 3
        or a.shape[0] != b.shape[0]
        or a.shape[2] != b.shape[1]
        or a.dtype != b.dtype
    ):
        return NotImplemented
    return new(a, (a.shape[0], a.shape[1], b.shape[2]))


@fast(_aten._grouped_mm.default)
def _grouped_mm(
    a: Tensor, b: Tensor, offs: Tensor | None = None, bias: Tensor | None = None, out_dtype: Any = None
) -> Any:
    """torch's own meta kernel accepts only bf16, but the operator computes in every floating-point format."""
    if (
        not (a.is_meta and b.is_meta)
        or a.dtype != b.dtype
        or not a.is_floating_point()
        or a.dim() not in (2, 3)
        or b.dim() not in (2, 3)
        or a.shape[-1] != b.shape[-2]
        or (offs is None) != (a.dim() == b.dim() == 3)
        or (a.dim() == b.dim() == 3 and a.shape[0] != b.shape[0])
        or (offs is not None and (offs.dim() != 1 or _groups(a, b) not in (None, offs.shape[0])))
        or bias is not None
        or out_dtype not in (None, a.dtype)
    ):
        return NotImplemented
    one_each = a.dim() == b.dim()
    rows = (_groups(a, b) or (offs.shape[0] if offs is not None else 0),) if one_each else ()
    return new(a, (*rows, a.shape[-2], b.shape[-1]))


def _groups(a: Tensor, b: Tensor) -> int | None:
    """The number of groups of the three-dimensional operand; None if both have two axes."""
    return next((t.shape[0] for t in (a, b) if t.dim() == 3), None)


@fast(
    _aten.relu.default,
    _aten.gelu.default,
    _aten.silu.default,
    _aten.sigmoid.default,
    _aten.tanh.default,
    _aten.hardswish.default,
    _aten.hardsigmoid.default,
    _aten.hardtanh.default,
    _aten.exp.default,
    _aten.rsqrt.default,
    _aten.roll.default,
)
def _same_shape(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    if not is_plain(input) or not input.is_floating_point():
        return NotImplemented
    return new(input, input.shape)


@fast(
    _aten.hardswish_.default,
    _aten.hardsigmoid_.default,
    _aten.silu_.default,
    _aten.hardtanh_.default,
)
def _in_place(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    if not is_plain(input) or not input.is_floating_point():
        return NotImplemented
    return input


@fast(_aten._safe_softmax.default, _aten._softmax.default)
def _softmax(input: Tensor, dim: int, option: Any = None) -> Any:
    # `option` is a dtype in `_safe_softmax` and `half_to_float` in `_softmax`. Either changes the output's
    # dtype.
    if option or not is_plain(input) or not -input.dim() <= dim < input.dim():
        return NotImplemented
    return _same_shape(input)


@fast(_aten.add.Tensor, _aten.sub.Tensor, _aten.mul.Tensor, _aten.div.Tensor, _aten.mul.Scalar)
def _binary(a: Any, b: Any, *, alpha: Any = 1) -> Any:
    if not is_plain(a) or not a.is_floating_point():
        return NotImplemented
    if isinstance(b, int | float):
        return new(a, a.shape)
    if not is_plain(b) or a.dtype != b.dtype:
        return NotImplemented
    if a.shape == b.shape:
        return new(a, a.shape)
    shape = _broadcast(a.shape, b.shape)
    return NotImplemented if shape is None else new(a, shape)


@fast(_aten.add_.Tensor, _aten.mul_.Tensor)
def _binary_in_place(a: Any, b: Any, *, alpha: Any = 1) -> Any:
    if not is_plain(a) or not a.is_floating_point():
        return NotImplemented
    if isinstance(b, Tensor) and (a.dtype != b.dtype or a.shape != b.shape or not b.is_meta):
        return NotImplemented
    return a


def _broadcast(a: Sequence[int], b: Sequence[int]) -> list[int] | None:
    rank = max(len(a), len(b))
    shape = []
    for m, n in zip((1,) * (rank - len(a)) + tuple(a), (1,) * (rank - len(b)) + tuple(b), strict=True):
        if m != n and m != 1 and n != 1:
            return None
        shape.append(n if m == 1 else m)
    return shape


@fast(_aten.new_zeros.default)
def _new_zeros(
    input: Tensor,
    size: Sequence[int],
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool | None = None,
) -> Any:
    if not input.is_meta or any((dtype, layout, device, pin_memory)) or min(size, default=0) < 0:
        return NotImplemented
    return new(input, size)


@fast(_aten.mean.dim)
def _mean(input: Tensor, dim: list[int] | None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    if not is_plain(input) or not input.is_floating_point() or not dim or dtype is not None:
        return NotImplemented
    rank = input.dim()
    if not all(-rank <= d < rank for d in dim):
        return NotImplemented
    reduced = {d % rank for d in dim}
    if len(reduced) != len(dim):
        return NotImplemented
    if keepdim:
        return new(input, [1 if d in reduced else size for d, size in enumerate(input.shape)])
    return new(input, [size for d, size in enumerate(input.shape) if d not in reduced])


@fast(_aten.cat.default)
def _cat(tensors: list[Tensor], dim: int = 0) -> Any:
    if not tensors or not all(is_plain(tensor) for tensor in tensors):
        return NotImplemented
    first = tensors[0]
    rank = first.dim()
    if not rank or not -rank <= dim < rank:
        return NotImplemented
    dim %= rank
    rest = (*first.shape[:dim], *first.shape[dim + 1 :])
    length = 0
    for tensor in tensors:
        shape = tensor.shape
        if tensor.dtype != first.dtype or tensor.dim() != rank or (*shape[:dim], *shape[dim + 1 :]) != rest:
            return NotImplemented
        length += shape[dim]
    return new(first, (*rest[:dim], length, *rest[dim:]))
