"""Rounding to powers of two, against exact arithmetic, and in the kernel's own copy of the weights."""

from __future__ import annotations

import math
from fractions import Fraction

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from addercost.kernels import dispatch, reference
from addercost.kernels.powers import LARGEST_SHIFT, power_of_two
from addercost.kernels.problem import Geometry
from tests.kernels.geometries import all_but, all_crossed, cases

HALVES = [torch.float16, torch.bfloat16]
DTYPES = [torch.float32, torch.float64, *HALVES]
SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e-45, -1e-40, 3.4e38, -3.4e38]


def nearest(weight: float) -> float:
    """sign(w)·2^e with e nearest to log2|w|, which is e where w² lies between 2^(2e - 1) and 2^(2e + 1)."""
    if weight == 0 or math.isnan(weight):
        return weight
    exponent = LARGEST_SHIFT
    if math.isfinite(weight):
        square = Fraction(weight) ** 2
        exponent = math.frexp(weight)[1] - 1
        exponent += square > Fraction(2) ** (2 * exponent + 1)
    return math.copysign(2.0 ** max(-LARGEST_SHIFT, min(LARGEST_SHIFT, exponent)), weight)


def near_the_border(dtype: torch.dtype) -> list[float]:
    """The neighbours of √2·2^e."""
    roots = torch.tensor([math.sqrt(2) * 2.0**e for e in (-20, -15, -3, -1, 0, 1, 7, 14, 15)], dtype=dtype)
    steps = [roots, *(torch.nextafter(roots, torch.tensor(to, dtype=dtype)) for to in (0.0, 1e4))]
    return torch.cat(steps).tolist()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_special_values_and_the_border(dtype: torch.dtype) -> None:
    weight = torch.tensor(SPECIAL + near_the_border(dtype), dtype=dtype)
    expected = torch.tensor([nearest(w) for w in weight.tolist()], dtype=dtype)
    out = power_of_two(weight)
    assert out.dtype == dtype
    assert torch.equal(out.nan_to_num(7), expected.nan_to_num(7))
    # A conversion may lose the sign of a NaN.
    assert torch.equal(out.nan_to_num(7).signbit(), weight.nan_to_num(7).signbit())


@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_any_weight(weights: list[float]) -> None:
    out = power_of_two(torch.tensor(weights, dtype=torch.float32)).tolist()
    for found, weight in zip(out, weights, strict=True):
        expected = nearest(weight)
        assert found == expected or (math.isnan(found) and math.isnan(expected))


@pytest.mark.parametrize(
    ("filters", "taps", "layout"),
    all_crossed(
        all_but(
            ("64-9",),
            [
                pytest.param(k, taps, id=f"{k}-{taps}")
                for k, taps in ((3, 1), (5, 9), (40, 16), (64, 9), (200, 144))
            ],
        ),
        cases(nchw=torch.contiguous_format, nhwc=torch.channels_last),
    ),
)
def test_the_kernel_rounds_as_the_reference_does(
    filters: int, taps: int, layout: torch.memory_format
) -> None:
    pytest.importorskip("halide", reason="the CPU kernels need halide")
    dense = pytest.importorskip("addercost.kernels.cpu.dense.convolution")
    generator = torch.Generator().manual_seed(filters)
    bits = torch.randint(-(1 << 31), 1 << 31, (filters * taps,), generator=generator)
    values = bits.to(torch.int32).view(torch.float32)
    chosen = torch.tensor(SPECIAL + near_the_border(torch.float32))
    values[: len(chosen)] = chosen[: len(values)]
    side = math.isqrt(taps) if math.isqrt(taps) ** 2 == taps and taps < 100 else 1
    weight = values.view(filters, taps // side**2, side, side)
    # One input that is not 0 at a time: each output is a weight, but where others are NaN.
    weight = torch.where(weight.isnan(), 3.0, weight)
    one = torch.eye(taps).view(taps, taps // side**2, side, side).contiguous(memory_format=layout)
    out = dense.convolve("mac_powers", one, weight, Geometry())
    assert torch.equal(out.flatten(1).t().reshape(weight.shape), power_of_two(weight))


def test_rounded_weights_are_taken_as_they_are() -> None:
    x, w = torch.randn(2, 3, 6, 6), torch.randn(4, 3, 3, 3)
    for module in (dispatch, reference):
        rounds = module.shift_forward(x, w, Geometry())
        torch.testing.assert_close(rounds, reference.mac_forward(x, power_of_two(w), Geometry()))
        as_it_is = module.shift_forward(x, w, Geometry(), rounded=True)
        torch.testing.assert_close(as_it_is, reference.mac_forward(x, w, Geometry()))


def test_a_weight_that_is_nan_stays_nan_in_the_kernel() -> None:
    # The kernel of the test before.
    w = torch.randn(4, 3, 3, 3)
    w[2, 1] = math.nan
    out = dispatch.shift_forward(torch.randn(2, 3, 6, 6), w, Geometry())
    assert out[:, 2].isnan().all()
    assert out.isnan().sum() == out[:, 2].numel()
