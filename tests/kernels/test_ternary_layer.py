"""Packed ternary layers as they are prepared: bit for bit the separate operations; what is not prepared."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from addercost.errors import ShapeError
from addercost.kernels import dispatch
from addercost.kernels.narrow import PackedWeights, reference, round_rows
from addercost.layers.bitlinear import BitLinear
from addercost.layers.packed_bitlinear import PackedBitLinear

pytest.importorskip("halide", reason="the CPU kernels need halide")


@pytest.fixture(autouse=True)
def _compiled_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "")


def layer(inputs: int, outputs: int, bias: bool = True) -> PackedBitLinear:
    made = BitLinear(inputs, outputs, bias=bias).eval()
    if bias:
        torch.nn.init.normal_(made.bias)
    return PackedBitLinear(made)


def step_by_step(packed: PackedBitLinear, x: Tensor) -> Tensor:
    """Rounding, exact sums of the codes, scaling and bias, each by torch."""
    codes, step = round_rows(x.reshape(-1, packed.in_features))
    out = reference(codes, PackedWeights(packed.words, packed.in_features, 2)).float() * (step * packed.scale)
    out = out if packed.bias is None else out + packed.bias
    return out.reshape(*x.shape[:-1], packed.out_features)


def prepared(packed: PackedBitLinear, x: Tensor) -> tuple[Tensor, bool]:
    """(the result, whether it was prepared)."""
    before = dispatch.runs["ternary_packed_forward", "halide"]
    with torch.no_grad():
        out = packed(x)
    return out, dispatch.runs["ternary_packed_forward", "halide"] > before


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("rows", [(1,), (3,), (2, 2), ()], ids=str)
@pytest.mark.parametrize("sizes", [(1, 1), (7, 33), (256, 8), (257, 5)], ids=str)
def test_results_are_those_of_the_steps(sizes: tuple[int, int], rows: tuple[int, ...], bias: bool) -> None:
    packed, x = layer(*sizes, bias), 3 * torch.randn(*rows, sizes[0])
    out, was_prepared = prepared(packed, x)
    assert was_prepared and torch.equal(out, step_by_step(packed, x))


@pytest.mark.parametrize("value", [0.0, 1e-7, float("nan"), float("inf")], ids=str)
def test_rows_of_one_number_are_rounded_alone(value: float) -> None:
    """A row of zeros has the least step. A row with a number that is not finite is NaN; others are not."""
    packed, x = layer(70, 9), torch.randn(3, 70)
    x[1] = value
    out, was_prepared = prepared(packed, x)
    assert was_prepared
    torch.testing.assert_close(out, step_by_step(packed, x), rtol=0, atol=0, equal_nan=True)
    assert out[[0, 2]].isfinite().all()


@pytest.mark.parametrize(
    "x",
    [
        pytest.param(torch.randn(5, 64), id="five-rows"),
        pytest.param(torch.randn(2, 64).half(), id="fp16"),
        pytest.param(torch.randn(64, 2).t(), id="rows-apart"),
        pytest.param(torch.randn(0, 64), id="no-rows"),
    ],
)
def test_others_are_computed_step_by_step(x: Tensor) -> None:
    packed = layer(64, 6)
    out, was_prepared = prepared(packed, x)
    assert not was_prepared and out.shape == (len(x), 6) and out.dtype == x.dtype
    expected = step_by_step(packed, x).to(x.dtype) if len(x) else x.new_zeros(0, 6)
    assert torch.equal(out, expected)


def test_a_wrong_number_of_inputs_is_named() -> None:
    with pytest.raises(ShapeError, match=r"64.*63"):
        prepared(layer(64, 6), torch.randn(1, 63))


def test_rows_of_weights_are_shared_out_to_threads() -> None:
    """2^20 bytes and more of words in each of two shares."""
    packed, x = layer(4096, 2051), torch.randn(1, 4096)
    before, outs = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            outs.append(prepared(packed, x)[0])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*outs)
