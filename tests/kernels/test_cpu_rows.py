"""Adder layers of a few pixels: the reference's sums in every layout, and what is left to other kernels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from addercost.kernels import dispatch, reference
from addercost.kernels.problem import Geometry, rows_as_image
from addercost.layers import AdderLinear
from tests.kernels.geometries import all_but

pytest.importorskip("halide", reason="the CPU kernels need halide")
rows = pytest.importorskip("addercost.kernels.cpu.rows.product")

PLACES = {
    "pixels-of-a-row": rows_as_image,
    "images": lambda x: x[:, :, None, None],
    "images-channels-last": lambda x: x[:, :, None, None].contiguous(memory_format=torch.channels_last),
    "pixels-of-a-column": lambda x: x.t()[None, :, :, None],
    "every-second-row": lambda x: rows_as_image(torch.stack([x, x + 1], 1).flatten(0, 1)[::2]),
    "one-row-repeated": lambda x: rows_as_image(x[:1].expand(x.shape)),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("pixels", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 7, 16, 25, 67])
def test_sums_are_the_references(channels: int, pixels: int, place) -> None:  # type: ignore[no-untyped-def]
    """Whole numbers, whose sums have no rounding, so their order does not matter."""
    image = place(torch.randint(-9, 9, (pixels, channels)).float())
    for filters in (1, 3, 4, 9):
        weight = torch.randint(-9, 9, (filters, channels, 1, 1)).float()
        expected = reference.adder_forward(image, weight, Geometry())
        out = rows.convolve(image, weight, Geometry())
        assert torch.equal(out, expected)
        assert out.stride() == expected.stride()


HALVES = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["fp16", "bf16"])


@HALVES
@pytest.mark.parametrize("pixels", [1, 4])
@pytest.mark.parametrize("channels", [7, 24, 67])
def test_sums_in_half_precision_are_rounded_once(channels: int, pixels: int, dtype: torch.dtype) -> None:
    """Quarters, whose sums are exact in fp32: torch rounds the reference's, ties to even."""
    x, w = (torch.randint(-36, 36, size) / 4 for size in ((pixels, channels), (9, channels, 1, 1)))
    image = rows_as_image(x)
    out = rows.convolve(image.to(dtype), w.to(dtype), Geometry())
    expected = reference.adder_forward(image, w, Geometry()).to(dtype)
    assert out.dtype == dtype and torch.equal(out, expected)


@HALVES
def test_every_number_in_half_precision_is_read_and_written(dtype: torch.dtype) -> None:
    numbers = torch.arange(1 << 16, dtype=torch.int32).to(torch.uint16).view(dtype)
    zero = torch.zeros(1, 1, 1, 1, dtype=dtype)
    out = rows.convolve(zero, numbers.reshape(-1, 1, 1, 1), Geometry()).flatten()
    torch.testing.assert_close(out, -numbers.abs(), rtol=0, atol=0, equal_nan=True)


def test_the_error_is_that_of_rounding() -> None:
    """A term passes one subtraction and, in four lanes or more, at most 4,096 / 4 + 2 additions; each rounds
    by 2^-24 of the sum at most."""
    x, w = torch.randn(1, 4096), torch.randn(64, 4096, 1, 1)
    exact = -(x.double() - w[:, :, 0, 0].double()).abs().sum(1)
    out = rows.convolve(rows_as_image(x), w, Geometry())[0, :, 0, 0]
    assert ((out - exact).abs() <= exact.abs() * 1027 * 2**-24).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers_reach_the_sum(value: float) -> None:
    x, w = torch.randn(2, 19), torch.randn(5, 19, 1, 1)
    x[1, 18] = value
    out = rows.convolve(rows_as_image(x), w, Geometry())
    assert torch.allclose(out, reference.adder_forward(rows_as_image(x), w, Geometry()), equal_nan=True)


def weight_of(channels: int, side: int = 1) -> Tensor:
    return torch.randn(6, channels, side, side)


@pytest.mark.parametrize(
    ("image", "weight", "geometry"),
    all_but(
        ("five-pixels", "fp64"),
        [
            pytest.param(torch.randn(1, 8, 1, 5), weight_of(8), Geometry(), id="five-pixels"),
            pytest.param(torch.randn(2, 8, 1, 2), weight_of(8), Geometry(), id="two-images-of-two"),
            pytest.param(torch.randn(1, 8, 1, 2), weight_of(8), Geometry(), id="channels-apart"),
            pytest.param(torch.randn(1, 8, 1, 1), weight_of(8)[:, ::2], Geometry(groups=2), id="groups"),
            pytest.param(torch.randn(1, 8, 1, 1), weight_of(8), Geometry(padding=(1, 1)), id="padding"),
            pytest.param(torch.randn(1, 8, 3, 1), weight_of(8), Geometry(stride=(2, 1)), id="stride"),
            pytest.param(torch.randn(1, 8, 3, 3), weight_of(8, 3), Geometry(), id="3x3"),
            pytest.param(torch.randn(1, 8, 1, 1), weight_of(16)[:, ::2], Geometry(), id="weights-apart"),
            pytest.param(torch.randn(1, 8, 1, 1).double(), weight_of(8).double(), Geometry(), id="fp64"),
        ],
    ),
)
def test_other_layers_are_left_to_other_kernels(image: Tensor, weight: Tensor, geometry: Geometry) -> None:
    assert rows.convolve(image, weight, geometry) is None
    expected = reference.adder_forward(image, weight, geometry)
    assert torch.allclose(dispatch.adder_forward(image, weight, geometry), expected, atol=1e-4)


def test_rows_of_weights_are_shared_out_to_threads() -> None:
    """2,101 rows of 1,024 weights are two shares of 2^20 and more."""
    x, w = torch.randn(1, 1024), torch.randn(2101, 1024, 1, 1)
    before, outs = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            outs.append(rows.convolve(rows_as_image(x), w, Geometry()))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*outs)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 2, 3)], ids=str)
def test_a_linear_layer_has_them_in_its_own_shape(shape: tuple[int, ...]) -> None:
    layer, x = AdderLinear(3, 5), torch.randn(shape)
    with torch.no_grad():
        out = layer(x)
    expected = -(x[..., None, :] - layer.weight).abs().sum(-1)
    expected = expected if layer.bias is None else expected + layer.bias
    assert out.shape == (*shape[:-1], 5)
    assert out.is_contiguous()
    assert torch.allclose(out, expected, atol=1e-5)
