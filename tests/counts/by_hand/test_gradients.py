"""Backward passes, counted by hand."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addercost.arithmetic import OpCounts
from addercost.counts.work import OperatorWork, Sites
from tests.counts.by_hand.calls import ops, t, w, work


def fp32(**counts: int) -> OpCounts:
    return OpCounts.of("fp32", **counts)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(st.data())
def test_a_convolution_gives_gradients_to_what_it_reads(data: Any) -> None:
    """The input's gradient has a sum for each pixel, padding included, that some tap reads."""
    image, taps = data.draw(st.tuples(*[st.integers(1, 4)] * 2)), data.draw(pairs)
    stride, dilation, groups = data.draw(pairs), data.draw(pairs), data.draw(st.integers(1, 2))
    n, c, k = 2, 3 * groups, 5 * groups
    g, x, weight = t(n, k, *image), t(n, c, 9, 9), w(k, 3, *taps)
    read = {
        (p * stride[0] + r * dilation[0], q * stride[1] + s * dilation[1])
        for p, q, r, s in product(*map(range, image), *map(range, taps))
    }
    args = {"grad_output": g, "input": x, "weight": weight, "stride": stride, "dilation": dilation}
    sites = g.numel * 3 * taps[0] * taps[1]
    every = work("aten.convolution_backward", x, **args, transposed=False, output_mask=(True, True, True))
    assert every == OperatorWork(
        (Sites(sites, n * c * len(read)), Sites(sites, weight.numel)), fp32(add=g.numel - k)
    )
    for mask, kept in (((True, False, False), every.sites[:1]), ((False, True, False), every.sites[1:])):
        assert work("aten.convolution_backward", x, **args, output_mask=mask) == OperatorWork(kept)
    adder = {"grad": g, "input": x, "weight": weight, "stride": stride, "dilation": dilation}
    found = work("addercost.adder_conv2d_input_gradient", x, **adder)
    assert found == OperatorWork(
        (Sites(sites, min(n * c * len(read), sites)),), fp32(add=sites, compare=2 * sites)
    )
    found = work("addercost.adder_conv2d_weight_gradient", weight, **adder)
    assert found == OperatorWork((Sites(sites, weight.numel),), fp32(add=sites))
    found = work("addercost.adder_conv2d_weight_gradient", weight, **adder, gradient="sign")
    assert found == OperatorWork((Sites(sites, weight.numel),), fp32(add=2 * sites, compare=2 * sites))


def test_a_transposed_convolution_reads_every_input() -> None:
    """[2, 3, 5] by [3, 7, 11]: each of 30 inputs meets 77 weights."""
    args = {"grad_output": t(2, 7, 15), "input": t(2, 3, 5), "weight": w(3, 7, 11), "transposed": True}
    found = work("aten.convolution_backward", t(2, 3, 5), **args, output_mask=(True, False, False))
    assert found == OperatorWork((Sites(30 * 77, 30),))


SCALE = {"weight": w(3)}
X = t(2, 3, 5)
"""Three channels of ten elements each."""
SUM = fp32(add=27)
"""Of the channels' elements."""
NORMALISED = fp32(add=30, mul=30)
"""x̂ = (x - mean)·r."""
TO_INPUT = fp32(divide=6, mul=60, add=60)
"""(g - Σg/m - x̂·Σ(g·x̂)/m)·(γ·r)."""
INVERSE = fp32(add=3, sqrt=3, divide=3)


@pytest.mark.parametrize(
    ("train", "mask", "expected"),
    [
        (True, (True, True, True), SUM + SUM + NORMALISED + fp32(mul=30) + TO_INPUT + fp32(mul=3)),
        (True, (True, False, False), SUM + SUM + NORMALISED + fp32(mul=30) + TO_INPUT + fp32(mul=3)),
        (True, (False, True, False), NORMALISED + fp32(mul=30) + SUM),
        (True, (False, False, True), SUM),
        (False, (True, False, False), INVERSE + fp32(mul=30 + 3)),
        (False, (True, True, True), INVERSE + fp32(mul=33) + NORMALISED + fp32(mul=30) + SUM + SUM),
        (False, (False, True, False), INVERSE + NORMALISED + fp32(mul=30) + SUM),
        (False, (False, False, True), INVERSE + SUM),
    ],
)
def test_batch_norm(train: bool, mask: tuple[bool, ...], expected: OpCounts) -> None:
    args = {"grad_out": X, "input": X, "train": train, "output_mask": mask}
    found = work("aten.native_batch_norm_backward", X, **args, **SCALE).other
    assert found == expected
    bare = work("aten.native_batch_norm_backward", X, **args).other
    assert bare + fp32(mul=3 if mask[0] else 0) == found


def test_batch_norms_of_other_libraries_give_all_gradients() -> None:
    found = work("aten.cudnn_batch_norm_backward", X, input=X, grad_output=X, **SCALE).other
    assert found == SUM + SUM + NORMALISED + fp32(mul=30) + TO_INPUT + fp32(mul=3)
    assert not work("aten.cudnn_batch_norm_backward", t(0, 3), input=t(0, 3), grad_output=t(0, 3)).other
    one_axis = work("aten.cudnn_batch_norm_backward", t(5), input=t(5), grad_output=t(5)).other
    assert one_axis == fp32(add=4 + 4 + 5 + 10, mul=5 + 5 + 10, divide=2)


@pytest.mark.parametrize(
    ("op", "args", "parameters"),
    [
        pytest.param("aten.native_layer_norm_backward", {"normalized_shape": (5,)}, 5, id="layer"),
        pytest.param("aten.native_group_norm_backward", {"group": 3}, 3, id="group"),
    ],
)
def test_norms_of_rows(op: str, args: dict[str, Any], parameters: int) -> None:
    """Six rows of five. h = g·γ; two sums of 4 additions and two divisions a row; two subtractions, three
    products an element: h·x̂, x̂·(…), ·r. ∂γ and ∂β sum over all but the parameters."""

    def of(*mask: bool, **scale: Any) -> OpCounts:
        return work(op, X, grad_out=X, input=X, **args, **scale, output_mask=mask).other

    to_input = fp32(mul=90, add=6 * 8 + 60, divide=12)
    to_scale, to_shift = fp32(mul=30, add=30 - parameters), fp32(add=30 - parameters)
    scale = {"weight": w(5)}
    assert of(True, False, False) == NORMALISED + to_input
    assert of(True, False, False, **scale) == NORMALISED + to_input + fp32(mul=30)
    assert of(False, True, False, **scale) == NORMALISED + to_scale
    assert of(False, False, True, **scale) == NORMALISED + to_shift
    assert of(True, True, True, **scale) == NORMALISED + to_input + fp32(mul=30) + to_scale + to_shift
    assert of(False, True, True) == NORMALISED
    empty = {"grad_out": t(0, 3, 5), "input": t(0, 3, 5)}
    assert not work(op, t(0, 3, 5), **empty, **args, output_mask=(True, True, True)).other


def test_a_norm_by_the_root_of_mean_squares() -> None:
    """Six rows of five: x̂, h·x̂, x̂·(Σ/n), ·r are 4 products an element; a sum and a division a row; a
    difference an element. γ adds h and g·x̂, and a sum over rows."""
    args = {"grad_out": X, "input": X, "normalized_shape": (5,)}
    bare = work("aten._fused_rms_norm_backward", X, **args).other
    assert bare == fp32(mul=120, add=24 + 30, divide=6)
    scaled = work("aten._fused_rms_norm_backward", X, **args, weight=w(5)).other
    assert scaled == bare + fp32(mul=60, add=25)


def row(id: str, op: str, out: Any, expected: OperatorWork, /, **args: Any) -> Any:
    return pytest.param(op, out, args, expected, id=f"{op.partition('.')[2]}-{id}")


G = t(2, 3, 5, 7)
"""210 elements."""


@pytest.mark.parametrize(
    ("op", "out", "args", "expected"),
    [
        # y·(g - Σ g·y): two products, the sum of a row, a difference.
        row("rows", "aten._softmax_backward_data", t(3, 5), ops(mul=30, add=12 + 15), grad_output=t(3, 5), output=t(3, 5), dim=1),
        row("columns", "aten._softmax_backward_data", t(3, 5), ops(mul=30, add=10 + 15), grad_output=t(3, 5), output=t(3, 5), dim=0),
        row("a-number", "aten._softmax_backward_data", t(), ops(mul=2, add=1), grad_output=t(), output=t(), dim=0),
        row("nothing", "aten._softmax_backward_data", t(3, 0), ops(), grad_output=t(3, 0), output=t(3, 0), dim=1),
        # g - exp(y)·Σ g.
        row("rows", "aten._log_softmax_backward_data", t(3, 5), ops(mul=15, add=12 + 15, transcendental=15), grad_output=t(3, 5), output=t(3, 5), dim=1),
        row("columns", "aten._log_softmax_backward_data", t(3, 5), ops(mul=15, add=10 + 15, transcendental=15), grad_output=t(3, 5), output=t(3, 5), dim=0),
        row("", "aten.max_pool2d_with_indices_backward", t(2, 3, 10, 14), ops(add=210), grad_output=G),
        row("", "aten.embedding_dense_backward", w(11, 3), ops(add=15), grad_output=t(5, 3), indices=t(5)),
        row("2x3", "aten.avg_pool2d_backward", t(2, 3, 10, 21), ops(divide=210, add=1260), grad_output=G, self=t(2, 3, 10, 21), kernel_size=(2, 3)),
        row("2", "aten.avg_pool3d_backward", t(2, 3, 10, 14, 2), ops(divide=210, add=1680), grad_output=t(2, 3, 5, 7, 1), kernel_size=(2,)),
        # Windows of 0..2, 2..4, 4..6 of seven pixels, 0..2 and 2..4 of five.
        row("", "aten._adaptive_avg_pool2d_backward", t(11, 5, 7), ops(divide=66, add=11 * 6 * 9), grad_output=t(11, 2, 3), self=t(11, 5, 7)),
        row("", "aten.upsample_nearest2d_backward", t(2, 3, 2, 3), ops(add=210), grad_output=G),
        # Along each axis a gradient becomes two products (four by cubics): 2, 2 + 4, 2 + 4 + 8.
        row("", "aten.upsample_linear1d_backward", t(2, 3, 4), ops(mul=60, add=60), grad_output=t(2, 3, 5)),
        row("", "aten.upsample_bilinear2d_backward", t(2, 3, 2, 3), ops(mul=210 * 6, add=210 * 4), grad_output=G),
        row("", "aten.upsample_trilinear3d_backward", t(2, 3, 2, 3, 1), ops(mul=210 * 14, add=210 * 8), grad_output=t(2, 3, 5, 7, 1)),
        row("", "aten.upsample_bicubic2d_backward", t(2, 3, 2, 3), ops(mul=210 * 20, add=210 * 16), grad_output=G),
        row("mean", "aten.nll_loss_backward", t(5, 3), ops(add=5, divide=5), grad_output=t(), self=t(5, 3), target=t(5), reduction=1),
        row("sum", "aten.nll_loss_backward", t(5, 3), ops(add=5), grad_output=t(), self=t(5, 3), target=t(5), reduction=2),
        row("weighted", "aten.nll_loss_backward", t(5, 3), ops(add=5, mul=5, divide=5), grad_output=t(), self=t(5, 3), target=t(5), weight=t(3)),
        # 6 distances of 5 differences: the difference, its product with g, and the sum.
        row("1", "aten._cdist_backward", t(2, 5), ops(mul=30, add=90, compare=60), grad=t(2, 3), x1=t(2, 5), x2=t(3, 5), p=1),
        row("2", "aten._cdist_backward", t(2, 5), ops(mul=30, add=60, divide=6), grad_output=t(2, 3), x1=t(2, 5), x2=t(3, 5), p=2.0),
        row("3", "aten._cdist_backward", t(2, 5), ops(mul=60, add=60, abs=30, transcendental=36, divide=6), grad=t(2, 3), x1=t(2, 5), x2=t(3, 5), p=3),
        row("", "aten._prelu_kernel_backward", t(3, 5), ops(compare=15, mul=30), self=t(3, 5), weight=w(5), grad_output=t(3, 5)),
        row("", "aten.slice_backward", t(7, 5), ops(), grad_output=t(3, 5)),
        row("overlap", "aten.unfold_backward", t(7), ops(add=15 - 7), grad_in=t(5, 3)),
        row("gaps", "aten.unfold_backward", t(20), ops(), grad_in=t(5, 3)),
        row("", "aten.col2im", t(2, 3, 7, 7), ops(add=2 * 12 * 25), self=t(2, 12, 25)),
    ],
)  # fmt: skip
def test_counts_by_hand(op: str, out: Any, args: dict[str, Any], expected: OperatorWork) -> None:
    assert work(op, out, **args) == expected
