"""The 8-bit adder on the CPU: every way to copy its bytes into words, exact against the reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from addercost.kernels import dispatch, reference, signs
from addercost.kernels.codes import quantize
from addercost.kernels.problem import Geometry
from tests.kernels.geometries import all_but, all_crossed, cases, exhaustive
from tests.kernels.masks import with_and_without_masks

pytest.importorskip("halide", reason="the CPU kernels need halide")
bordered = pytest.importorskip("addercost.kernels.cpu.dense.bordered")
byte_loops = pytest.importorskip("addercost.kernels.cpu.u8.loops")
u8 = pytest.importorskip("addercost.kernels.cpu.u8.convolution")

LAYOUTS = cases(nchw=torch.contiguous_format, nhwc=torch.channels_last)


def codes(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


SHAPES = [
    pytest.param((1, 8, 4, 4), (8, 1, 1), Geometry(), id="a-row-of-one-step"),
    pytest.param((2, 16, 6, 8), (16, 1, 1), Geometry(), id="sixteen-channels"),
    pytest.param((1, 24, 3, 11), (9, 1, 1), Geometry(), id="ragged-in-both"),
    pytest.param((3, 13, 5, 7), (20, 1, 1), Geometry(), id="13-channels"),
    pytest.param((2, 40, 9, 18), (16, 1, 1), Geometry((2, 2)), id="1x1-stride-2"),
    pytest.param((1, 16, 10, 9), (5, 1, 3), Geometry((3, 1)), id="a-row-at-stride-3"),
    pytest.param((1, 16, 19, 21), (24, 3, 3), Geometry(padding=(1, 1)), id="bordered"),
    pytest.param((2, 16, 12, 20), (8, 3, 3), Geometry((2, 2), (1, 2)), id="stride-2-bordered"),
    pytest.param((1, 8, 30, 17), (8, 3, 3), Geometry(padding=(2, 2), dilation=(2, 2)), id="dilation"),
    pytest.param((1, 32, 7, 18), (10, 3, 3), Geometry(padding=(1, 1), groups=2), id="groups-of-16"),
    pytest.param((2, 10, 7, 18), (6, 3, 2), Geometry(padding=(1, 0), groups=2), id="groups-of-5"),
    pytest.param((2, 24, 5, 1), (12, 3, 1), Geometry(padding=(1, 0)), id="one-column"),
    pytest.param((1, 24, 1, 40), (12, 1, 3), Geometry((1, 2), (0, 1)), id="one-row"),
]
PATCHED = [
    pytest.param((2, 1, 12, 12), (6, 5, 5), Geometry(), id="one-channel-5x5"),
    pytest.param((2, 6, 10, 19), (16, 5, 5), Geometry(), id="six-channels-5x5"),
    pytest.param((1, 3, 21, 22), (9, 7, 7), Geometry((2, 2), (3, 3)), id="three-channels-7x7-stride-2"),
    pytest.param((1, 4, 9, 9), (8, 2, 2), Geometry((3, 3), (1, 1)), id="a-run-of-one-word"),
    pytest.param((2, 2, 11, 5), (5, 3, 3), Geometry((1, 1), (2, 2), (2, 1)), id="dilated-rows"),
    pytest.param((1, 7, 6, 5), (3, 2, 5), Geometry(), id="one-pixel-wide"),
]
FAST = "stride-2-bordered", "six-channels-5x5"
BORDERED = codes(3, 16, 12, 20), codes(8, 16, 3, 3), Geometry((2, 2), (1, 2))
"""An image, weights and a place for which the kernel of "stride-2-bordered" is right."""


masks = with_and_without_masks(u8, u8._plan)


@pytest.mark.usefixtures("masks")
@pytest.mark.parametrize(
    ("image", "filters", "geometry", "weight_layout", "layout"),
    all_crossed(
        all_but(FAST, SHAPES + PATCHED),
        cases(kcrs=torch.contiguous_format, krsc=torch.channels_last),
        LAYOUTS,
    ),
)
def test_sums_are_exact(image, filters, geometry, weight_layout, layout, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    (k, *taps), channels = filters, image[1] // geometry.groups
    x = codes(*image).contiguous(memory_format=layout)
    w = codes(k, channels, *taps).contiguous(memory_format=weight_layout)
    expected = reference.adder_u8_forward(x, w, geometry)
    for _ in range(2):
        out = dispatch.adder_u8_forward(x, w, geometry)
        assert out.dtype == torch.int32
        assert torch.equal(out, expected)
        assert out.stride() == expected.stride()


@pytest.mark.parametrize(
    ("image", "weight", "geometry", "layout", "steps"),
    [
        pytest.param((1, 16, 8, 8), (8, 16, 1, 1), Geometry(), torch.channels_last, 0, id="read-in-place"),
        pytest.param((1, 16, 8, 8), (8, 16, 1, 1), Geometry(), torch.contiguous_format, 1, id="turned"),
        pytest.param(
            (1, 16, 8, 8), (8, 16, 3, 3), Geometry((1, 1), (1, 1)), torch.channels_last, 1, id="border"
        ),
        pytest.param((1, 16, 1, 11), (8, 16, 1, 1), Geometry(), torch.channels_last, 1, id="needs-slack"),
        pytest.param(
            (1, 3, 9, 9), (8, 3, 5, 5), Geometry(), torch.contiguous_format, 2, id="turned-and-patched"
        ),
    ],
)
def test_bytes_are_copied_only_where_they_must(image, weight, geometry, layout, steps) -> None:  # type: ignore[no-untyped-def]
    x = torch.empty(image, dtype=torch.uint8, memory_format=layout)
    assert len(u8._plan("adder_u8", x.shape, x.stride(), weight, geometry, layout, 1).steps) == steps


VIEWS = {
    "every-second-column": lambda t: t[..., ::2],
    "transposed": lambda t: t.transpose(2, 3),
    "expanded-channels": lambda t: t[:, :1].expand(-1, 16, -1, -1),
    "expanded-image": lambda t: t[:, :, :1, :1].expand(-1, -1, 6, 20),
    "overlapping-windows": lambda t: t[0, 0].unfold(1, 6, 1).unfold(0, 4, 1).permute(0, 1, 3, 2)[:, :4],
    "offset": lambda t: t[1:, 3:, 2:, 1:],
    "channels-of-more": lambda t: t.contiguous(memory_format=torch.channels_last)[:, 1:12],
}


@pytest.mark.parametrize("side", [3, *exhaustive(1)])
@pytest.mark.parametrize(
    "view",
    all_but(("offset", "channels-of-more"), cases(**VIEWS)),
)
def test_views_give_the_answer_of_their_copies(view, side: int) -> None:  # type: ignore[no-untyped-def]
    x = view(codes(2, 16, 8, 22))
    w = codes(5, x.shape[1], side, side)
    expected = reference.adder_u8_forward(x.clone(), w, Geometry())
    assert torch.equal(u8.convolve(x, w, Geometry()), expected)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_result_does_not_depend_on_the_threads(threads: int) -> None:
    before = torch.get_num_threads()
    x, w, geometry = BORDERED
    try:
        torch.set_num_threads(threads)
        out = u8.convolve(x, w, geometry)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(out, reference.adder_u8_forward(x, w, geometry))


def test_sums_reach_their_largest() -> None:
    x, w = torch.zeros(1, 2048, 1, 8, dtype=torch.uint8), torch.full((3, 2048, 1, 1), 255, dtype=torch.uint8)
    assert (u8.convolve(x, w, Geometry()) == -255 * 2048).all()


def test_changed_weights_are_seen() -> None:
    x, w, geometry = BORDERED
    w = w.clone()
    for _ in range(3):
        assert torch.equal(u8.convolve(x, w, geometry), reference.adder_u8_forward(x, w, geometry))
        w.data.copy_(codes(*w.shape))


QUANTISED = [
    pytest.param((2, 16, 7, 9), (24, 16, 3, 3), Geometry(padding=(1, 1)), id="bordered"),
    pytest.param((1, 64, 8, 8), (40, 64, 1, 1), Geometry(), id="1x1"),
    pytest.param((2, 3, 9, 9), (6, 3, 5, 5), Geometry((2, 2), (2, 2)), id="three-channels"),
    pytest.param((1, 10, 6, 7), (6, 5, 3, 3), Geometry(padding=(1, 0), groups=2), id="groups"),
    pytest.param((1, 16, 5, 5), (122, 16, 1, 1), Geometry(), id="122-filters"),
]


@pytest.mark.parametrize("zero", [7, *exhaustive(0, 255)])
@pytest.mark.parametrize(
    ("image", "weight", "geometry", "layout", "biased"),
    all_crossed(all_but(("groups",), QUANTISED), all_but(("nchw",), LAYOUTS), cases(plain=False, bias=True)),
)
def test_a_quantised_layer_is_the_references(
    image, weight, geometry, layout, biased, zero, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    x = torch.randn(image).contiguous(memory_format=layout)
    w, scale = codes(*weight), torch.tensor(0.0173)
    arguments = (x, w, scale, torch.randn(weight[0]) if biased else None, zero, geometry)
    expected = reference.adder_quantized_forward(*arguments)
    before = dispatch.runs["adder_quantized_forward", "halide"]
    out = dispatch.adder_quantized_forward(*arguments)
    assert dispatch.runs["adder_quantized_forward", "halide"] == before + 1
    assert torch.equal(out, expected)
    assert out.stride() == expected.stride()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_other_inputs_take_the_kernel_for_their_sums(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    x, w, geometry = BORDERED
    arguments = (torch.randn(x.shape).to(dtype), w, torch.tensor(0.02), None, 9, geometry)
    out = dispatch.adder_quantized_forward(*arguments)
    assert out.dtype == dtype
    assert torch.equal(out, reference.adder_quantized_forward(*arguments))


@pytest.mark.parametrize("count", [1, 5, 15, 16, 17, 32, 1606])
def test_codes_are_those_of_torch(count: int) -> None:
    # What has no code of its own; halves of a step, which round to even; counts that no vector divides.
    x = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 1e38])
    x = torch.cat([x, torch.arange(-300, 301) * 0.25, torch.randn(1000) * 40])[:count]
    for scale in (0.5, 0.3):
        laid = torch.full((x.numel() + 1,), 99, dtype=torch.uint8)
        byte_loops.quantize(x.numel() < byte_loops.FLOATS)(
            x.data_ptr(), laid.data_ptr(), x.numel(), torch.tensor(scale).item(), 128.0
        )
        assert torch.equal(laid[:-1], quantize(x, torch.tensor(scale), 128))
        assert laid[-1] == 99


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
def test_a_tile_of_a_quantised_layer_divides_its_blocks_of_factors(layout: torch.memory_format) -> None:
    # 128 filters on 15 columns, 40 channels: three vectors of eight would reach beyond the factors.
    for filters in (6, 24, 48, 72, 128, 200):
        for columns in (1, 7, 15, 28, 56):
            plan = bordered.plan_bordered(
                "adder_u8_scaled", (1, 4, columns), 40, filters, (1, 1), Geometry(), layout, 1
            )
            assert signs.FILTER_BLOCK % plan.kernel.block == 0, (filters, columns)
