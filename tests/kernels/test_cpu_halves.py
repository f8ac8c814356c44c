"""The CPU kernels of half precision: conversions of every number, and sums against fp64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from addercost.kernels import dispatch, signs
from addercost.kernels.problem import Geometry, output_layout
from addercost.kernels.store import NO_LIMITS, RELU, Store
from tests.kernels.geometries import all_but, all_crossed, cases, in_turns

pytest.importorskip("halide", reason="the CPU kernels need halide")
dense = pytest.importorskip("addercost.kernels.cpu.dense.convolution")
in_half = pytest.importorskip("addercost.kernels.cpu.dense.sites").in_half
native = pytest.importorskip("addercost.kernels.cpu.ir.native")

EACH_TYPE = cases(fp16=torch.float16, bf16=torch.bfloat16)
HALVES = pytest.mark.parametrize("dtype", EACH_TYPE)
UNIT = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
"""Half the distance from 1 to the next number: the largest relative error of one rounding."""
LAYERS = in_turns(
    all_but(("33-filters", "planes-of-whole-vectors")),
    nchw=torch.contiguous_format,
    nhwc=torch.channels_last,
)


def operands(image: Any, filters: Any, geometry: Geometry, layout: Any, dtype: Any) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(sum(image) + sum(filters))
    k, r, s = filters
    x = torch.randn(image, generator=generator).to(dtype).contiguous(memory_format=layout)
    return x, torch.randn(k, image[1] // geometry.groups, r, s, generator=generator).to(dtype)


def error_bound(exact: Tensor, terms: int, magnitudes: Tensor, dtype: torch.dtype) -> Tensor:
    """The stated error: one rounding of the output, and one of fp32 for each term and each addition. fp16
    also has a least number, of which half may be lost."""
    sums = 2 * terms * 2.0**-24 * magnitudes
    return UNIT[dtype] * (exact.abs() + sums) + sums + 2.0**-25


@pytest.mark.parametrize(
    ("image", "filters", "geometry", "layout", "dtype"),
    all_crossed(LAYERS, EACH_TYPE),
)
def test_an_adder_layer_sums_in_fp32(image, filters, geometry, layout, dtype, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    x, w = operands(image, filters, geometry, layout, dtype)
    out = dispatch.adder_forward(x, w, geometry)
    # All terms have one sign, so the sum of their magnitudes is that of the result.
    exact = dense_sums("adder", x, w, geometry)
    assert out.dtype == dtype and out.is_contiguous(memory_format=output_layout(x))
    assert ((out.double() - exact).abs() <= error_bound(exact, w[0].numel(), exact.abs(), dtype)).all()


@HALVES
@pytest.mark.parametrize(("image", "filters", "geometry", "layout"), LAYERS[:2])
def test_a_product_sums_in_fp32(image, filters, geometry, layout, dtype) -> None:  # type: ignore[no-untyped-def]
    x, w = operands(image, filters, geometry, layout, dtype)
    out = dense.convolve(in_half("mac", dtype), x, w, geometry)
    exact, magnitudes = (dense_sums("mac", *pair, geometry) for pair in ((x, w), (x.abs(), w.abs())))
    assert ((out.double() - exact).abs() <= error_bound(exact, w[0].numel(), magnitudes, dtype)).all()


def dense_sums(site: str, x: Tensor, w: Tensor, geometry: Geometry) -> Tensor:
    """The sums in fp64, tap by tap."""
    from addercost.kernels import reference

    forward = reference.adder_forward if site == "adder" else reference.mac_forward
    return forward(x.double(), w.double(), geometry)


@HALVES
def test_every_number_is_converted(dtype: torch.dtype) -> None:
    bits = torch.arange(1 << 16, dtype=torch.int32).to(torch.uint16)
    x, ones = bits.view(dtype).reshape(1, 1, 256, 256), torch.ones(2, 1, 1, 1, dtype=dtype)
    out = dense.convolve(in_half("mac", dtype), x, ones, Geometry())
    torch.testing.assert_close(out, x.expand(1, 2, 256, 256), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("dtype", "layout"),
    all_crossed(
        EACH_TYPE,
        cases(nchw=torch.contiguous_format, nhwc=torch.channels_last),
    ),
)
def test_every_number_is_rounded_as_torch_rounds(dtype: torch.dtype, layout: torch.memory_format) -> None:
    bits = torch.arange(1 << 16, dtype=torch.int32).to(torch.uint16)
    x, w = bits.view(dtype).reshape(1, 1, 256, 256), torch.randn(2, 1, 1, 1).to(dtype)
    # One product of two halves is exact in fp32, so all that is rounded is the output.
    expected = (x.float() * w.float().reshape(1, 2, 1, 1)).to(dtype)
    image = x.expand(1, 1, 256, 256).contiguous(memory_format=layout)
    out = dense.convolve(in_half("mac", dtype), image, w, Geometry())
    torch.testing.assert_close(out, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.exhaustive
@HALVES
@pytest.mark.parametrize("limits", [NO_LIMITS, RELU], ids=["plain", "relu"])
def test_a_store_rounds_once(dtype: torch.dtype, limits: tuple[float, float]) -> None:
    # Integers, so that the sums are exact and only the store rounds.
    x, w = (torch.randint(-8, 8, shape).to(dtype) for shape in ((2, 6, 7, 9), (40, 6, 3, 3)))
    scale, addend, store = torch.rand(40), torch.randn(40) * 50 + 150, Store(*limits)
    factors = signs.pack_factors(scale, addend, 1)
    out = dispatch.adder_fused_forward(x, w, factors, Geometry(), store)
    expected = store.of(dense_sums("adder", x, w, Geometry()).float(), scale, addend).to(dtype)
    assert torch.equal(out, expected) and (out < 0).any() == (limits == NO_LIMITS)


@pytest.mark.parametrize(
    ("channels", "width", "geometry", "layout", "dtype"),
    all_crossed(
        [
            pytest.param(5, 7, Geometry(padding=(1, 1), groups=5), id="5"),
            pytest.param(3, 41, Geometry(padding=(1, 1), groups=3), id="3-wide"),
            pytest.param(8, 7, Geometry(stride=(2, 2), groups=8), id="8-stride-2"),
            pytest.param(2, 70, Geometry((1, 2), (1, 1), groups=2), id="2-stride-2-wide"),
            pytest.param(2, 58, Geometry((3, 3), groups=2), id="2-stride-3"),
            pytest.param(19, 7, Geometry(padding=(2, 2), dilation=(2, 2), groups=19), id="19-dilation-2"),
        ],
        cases(nchw=torch.contiguous_format, nhwc=torch.channels_last),
        EACH_TYPE,
    ),
)
def test_a_depthwise_layer_sums_in_fp32(channels, width, geometry, layout, dtype, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Quarters, so that the sums are exact and only the store rounds. The kernel reads the images as they
    are, so it is prepared, but for rows on processors without masked loads of 16 bits.
    """
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    x, w = (torch.randint(-99, 99, size) / 4 for size in ((2, channels, 9, width), (channels, 1, 3, 3)))
    image = x.to(dtype).contiguous(memory_format=layout)
    out = dispatch.adder_forward(image, w.to(dtype), geometry)
    expected = dense_sums("adder", x.to(dtype), w.to(dtype), geometry).to(dtype)
    assert torch.equal(out, expected) and out.is_contiguous(memory_format=output_layout(image))
    prepared = dispatch.ready("adder_forward", image, w.to(dtype), geometry)
    assert (prepared is not None) == (layout == torch.channels_last or native.masks_bytes())
    assert prepared is None or torch.equal(prepared(image, w.to(dtype)), expected)


@pytest.mark.parametrize("dtype", all_but(("fp16",), EACH_TYPE))
def test_a_layer_in_half_precision_runs_its_kernel(dtype: torch.dtype) -> None:
    from addercost.layers import AdderConv2d

    # The kernel of "33-filters".
    layer, x = AdderConv2d(8, 33, 3, padding=1, dtype=dtype), torch.randn(1, 8, 14, 14).to(dtype)
    before = dispatch.runs["adder_forward", "halide"]
    with torch.inference_mode():
        assert torch.equal(layer(x), layer(x))
    assert dispatch.runs["adder_forward", "halide"] == before + 2


@HALVES
@pytest.mark.parametrize("half", ["image", "weight"])
def test_a_depthwise_layer_of_two_formats_is_not_prepared(half: str, dtype: torch.dtype) -> None:
    x, w = torch.randn(1, 8, 5, 5).contiguous(memory_format=torch.channels_last), torch.randn(8, 1, 3, 3)
    x, w = (x.to(dtype), w) if half == "image" else (x, w.to(dtype))
    assert dispatch.ready("adder_forward", x, w, Geometry(groups=8)) is None
