"""Our shape functions against torch's meta kernels, on valid, unusual and wrong arguments. Needs torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from addercost.trace.shapes import FAST_SHAPES

aten = torch.ops.aten


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def described(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), value.dtype, value.stride(), value.device.type
    return [described(item) for item in value]


def agrees(operator: Any, *args: Any, **kwargs: Any) -> str:
    """Runs both; they must agree wherever ours answers. Says who answered."""
    try:
        theirs = operator(*args, **kwargs)
    except (RuntimeError, IndexError, ValueError, ArithmeticError):
        theirs = None
    ours = FAST_SHAPES[operator](*args, **kwargs)
    if ours is NotImplemented:
        return "torch"
    assert theirs is not None, "ours accepts what torch refuses"
    if operator is aten.native_batch_norm.default:
        ours, theirs = ours[0], theirs[0]  # the saved statistics of an evaluation have no meaning
    assert described(ours) == described(theirs)
    return "ours"


sizes = st.integers(1, 9)


@settings(max_examples=150)
@given(data=st.data(), spatial=st.integers(1, 3))
def test_convolution(data: st.DataObject, spatial: int) -> None:
    small = st.integers(0, 3)
    draw = data.draw
    groups = draw(st.integers(1, 3))
    c, k = draw(st.integers(1, 3)), draw(st.integers(1, 3)) * groups
    wrong = draw(st.sampled_from([0, 0, 0, 1]))
    x = meta(draw(st.integers(1, 2)), c * groups + wrong, *[draw(sizes) for _ in range(spatial)])
    w = meta(k, c, *[draw(st.integers(1, 4)) for _ in range(spatial)])
    bias = meta(k) if draw(st.booleans()) else None
    lists = [[draw(small) for _ in range(spatial)] for _ in range(3)]
    agrees(aten.convolution.default, x, w, bias, *lists, False, [0] * spatial, groups)


CASES: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any], str]] = {
    "batch norm": (
        aten.native_batch_norm.default,
        (meta(2, 3, 4, 4), meta(3), meta(3), meta(3), meta(3), False, 0.1, 1e-5),
        {},
        "ours",
    ),
    "batch norm in training": (
        aten.native_batch_norm.default,
        (meta(2, 3, 4, 4), meta(3), meta(3), None, None, True, 0.1, 1e-5),
        {},
        "torch",
    ),
    "layer norm": (aten.native_layer_norm.default, (meta(2, 5, 8), [8], meta(8), meta(8), 1e-5), {}, "ours"),
    "2-d layer norm": (aten.native_layer_norm.default, (meta(2, 5, 8), [5, 8], None, None, 1e-5), {}, "ours"),
    "wrong layer norm": (aten.native_layer_norm.default, (meta(2, 5, 8), [7], None, None, 1e-5), {}, "torch"),
    "mm": (aten.mm.default, (meta(2, 3), meta(3, 4)), {}, "ours"),
    "mm transposed": (aten.mm.default, (meta(2, 3), meta(4, 3).t()), {}, "ours"),
    "wrong mm": (aten.mm.default, (meta(2, 3), meta(2, 4)), {}, "torch"),
    "addmm": (aten.addmm.default, (meta(4), meta(2, 3), meta(3, 4)), {}, "ours"),
    "addmm of a matrix": (aten.addmm.default, (meta(2, 4), meta(2, 3), meta(3, 4)), {}, "torch"),
    "bmm": (aten.bmm.default, (meta(5, 2, 3), meta(5, 3, 4)), {}, "ours"),
    "wrong bmm": (aten.bmm.default, (meta(5, 2, 3), meta(4, 3, 4)), {}, "torch"),
    "relu": (aten.relu.default, (meta(2, 3),), {}, "ours"),
    "relu of a transpose": (aten.relu.default, (meta(2, 3).t(),), {}, "torch"),
    "sigmoid of integers": (aten.sigmoid.default, (meta(2, dtype=torch.int64),), {}, "torch"),
    "gelu": (aten.gelu.default, (meta(2, 3),), {"approximate": "tanh"}, "ours"),
    "roll": (aten.roll.default, (meta(2, 3), [1], [0]), {}, "ours"),
    "silu in place": (aten.silu_.default, (meta(2, 3),), {}, "ours"),
    "softmax": (aten._softmax.default, (meta(2, 3), 1, False), {}, "ours"),
    "softmax of a wrong dimension": (aten._softmax.default, (meta(2, 3), 2, False), {}, "torch"),
    "safe softmax": (aten._safe_softmax.default, (meta(2, 3), -1), {}, "ours"),
    "add": (aten.add.Tensor, (meta(2, 3), meta(2, 3)), {}, "ours"),
    "add a number": (aten.add.Tensor, (meta(2, 3), 1), {}, "ours"),
    "broadcast add": (aten.add.Tensor, (meta(2, 1, 3), meta(5, 1)), {}, "ours"),
    "mixed add": (aten.add.Tensor, (meta(2, 3), meta(2, 3, dtype=torch.float64)), {}, "torch"),
    "wrong add": (aten.add.Tensor, (meta(2, 3), meta(4, 3)), {}, "torch"),
    "promoting mul": (aten.mul.Tensor, (meta(2, dtype=torch.int32), 1.5), {}, "torch"),
    "add in place": (aten.add_.Tensor, (meta(2, 3), meta(2, 3)), {}, "ours"),
    "new zeros": (aten.new_zeros.default, (meta(2, 3).t(), [3, 2]), {"pin_memory": False}, "ours"),
    "new zeros of a dtype": (aten.new_zeros.default, (meta(2), [3]), {"dtype": torch.int64}, "torch"),
    "new zeros of a wrong size": (aten.new_zeros.default, (meta(2), [-1]), {}, "torch"),
    "mean": (aten.mean.dim, (meta(2, 3, 4), [1, -1]), {}, "ours"),
    "mean kept": (aten.mean.dim, (meta(2, 3, 4), [2], True), {}, "ours"),
    "mean twice over a dimension": (aten.mean.dim, (meta(2, 3, 4), [2, -1]), {}, "torch"),
    "cat": (aten.cat.default, ([meta(2, 3), meta(2, 5)], 1), {}, "ours"),
    "wrong cat": (aten.cat.default, ([meta(2, 3), meta(2, 5)], 0), {}, "torch"),
    "average pool": (aten.avg_pool2d.default, (meta(2, 3, 8, 9), [3], [2], [1]), {}, "ours"),
    "average pool rounded up": (
        aten.avg_pool2d.default,
        (meta(2, 3, 8, 8), [3], [2], [1], True),
        {},
        "torch",
    ),
    "average pool of integers": (
        aten.avg_pool2d.default,
        (meta(2, 3, 8, 8, dtype=torch.int64), [2]),
        {},
        "torch",
    ),
    "average pool too large": (aten.avg_pool2d.default, (meta(2, 3, 2, 2), [3]), {}, "torch"),
    "cat with the empty tensor": (aten.cat.default, ([meta(0), meta(2, 5)], 0), {}, "torch"),
    "grouped products": (
        aten._grouped_mm.default,
        (
            meta(16, 32, dtype=torch.bfloat16),
            meta(3, 32, 24, dtype=torch.bfloat16),
            meta(3, dtype=torch.int32),
        ),
        {},
        "ours",
    ),
}


@pytest.mark.parametrize(("operator", "args", "kwargs", "who"), CASES.values(), ids=CASES)
def test_like_torch(operator: Any, args: Any, kwargs: Any, who: str) -> None:
    assert agrees(operator, *args, **kwargs) == who


@settings(max_examples=100)
@given(
    h=st.integers(1, 12),
    w=st.integers(1, 12),
    kernel=st.lists(st.integers(1, 4), min_size=1, max_size=2),
    stride=st.lists(st.integers(1, 3), min_size=0, max_size=2),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    ceil_mode=st.booleans(),
)
def test_max_pool(
    h: int, w: int, kernel: list[int], stride: list[int], padding: int, dilation: int, ceil_mode: bool
) -> None:
    agrees(
        aten.max_pool2d_with_indices.default,
        meta(2, 3, h, w),
        kernel,
        stride,
        [padding],
        [dilation],
        ceil_mode,
    )


@settings(max_examples=100)
@given(
    h=st.integers(1, 12),
    w=st.integers(1, 12),
    kernel=st.lists(st.integers(1, 4), min_size=1, max_size=2),
    stride=st.lists(st.integers(1, 3), min_size=0, max_size=2),
    padding=st.integers(0, 2),
    ceil_mode=st.booleans(),
    include=st.booleans(),
    divisor=st.sampled_from([None, 0, 3]),
)
def test_avg_pool(
    h: int,
    w: int,
    kernel: list[int],
    stride: list[int],
    padding: int,
    ceil_mode: bool,
    include: bool,
    divisor: int | None,
) -> None:
    x = meta(2, 3, h, w)
    agrees(aten.avg_pool2d.default, x, kernel, stride, [padding], ceil_mode, include, divisor)


@settings(max_examples=60)
@given(
    heads=st.sampled_from([(2, 2), (4, 2), (4, 1), (4, 3), (2, 4)]),
    sizes=st.tuples(*[st.integers(1, 3)] * 4),
    batches=st.sampled_from([(2, 2), (1, 2)]),
    mask=st.sampled_from([None, (1,), (1, 1), (3, 3), (2, 1, 1, 1), (1, 4, 2, 2)]),
    causal=st.booleans(),
    grouped=st.booleans(),
)
def test_attention(heads: Any, sizes: Any, batches: Any, mask: Any, causal: bool, grouped: bool) -> None:
    """Shapes and refusals are torch's; the layout is that of its fused kernel for the CPU."""
    rows, columns, width, depth = sizes
    q = meta(batches[0], rows, heads[0], width).transpose(1, 2)
    k, v = (meta(batches[1], heads[1], columns, n) for n in (width, depth))
    bias = None if mask is None else meta(*mask)
    operator = aten.scaled_dot_product_attention.default
    out = FAST_SHAPES[operator](q, k, v, bias, 0.0, causal, enable_gqa=grouped)
    if out is NotImplemented:
        return
    expected = operator(q, k, v, bias, 0.0, causal, enable_gqa=grouped)
    assert (out.shape, out.dtype) == (expected.shape, expected.dtype)
    computed = torch.zeros(batches[0], rows, heads[0], width).transpose(1, 2)
    fused = aten._scaled_dot_product_flash_attention_for_cpu(computed, computed, computed)[0]
    if width == depth:
        # The stride of an axis of one element means nothing.
        steps = [[s for n, s in zip(t.shape, t.stride(), strict=True) if n > 1] for t in (out, fused)]
        assert steps[0] == steps[1]


def test_plain_attention_is_answered_here() -> None:
    q = meta(2, 3, 4, 5)
    assert FAST_SHAPES[aten.scaled_dot_product_attention.default](q, q, q).shape == q.shape


def test_every_function_is_tried() -> None:
    """In-place and alias variants share a function with one that is."""
    tried = {FAST_SHAPES[operator] for operator, *_ in CASES.values()}
    tried |= {FAST_SHAPES[aten.convolution.default], FAST_SHAPES[aten.max_pool2d_with_indices.default]}
    tried |= {FAST_SHAPES[aten.scaled_dot_product_attention.default]}
    assert set(FAST_SHAPES.values()) <= tried


def test_channels_last_is_left_to_torch() -> None:
    x = meta(1, 3, 8, 8).to(memory_format=torch.channels_last)
    w = meta(4, 3, 3, 3)
    assert (
        FAST_SHAPES[aten.convolution.default](x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)
        is NotImplemented
    )
