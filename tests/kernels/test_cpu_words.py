"""Packed binary layers on the CPU: every way to pack an image and to place its tiles, and what calls
share."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from addercost.kernels import dispatch, reference, signs
from addercost.kernels.problem import Geometry, output_layout
from tests.kernels.geometries import all_but, all_crossed, cases, numbers
from tests.kernels.masks import with_and_without_masks

pytest.importorskip("halide", reason="the CPU kernels need halide")
cpu_binary = pytest.importorskip("addercost.kernels.cpu.binary.convolution")
lookup = pytest.importorskip("addercost.kernels.cpu.binary.lookup")
cpu_signs = pytest.importorskip("addercost.kernels.cpu.binary.packing")

LAYOUTS = cases(nchw=torch.contiguous_format, nhwc=torch.channels_last)


def packed_layer(
    filters: int, channels: int, side: int, groups: int = 1
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    w = torch.randn(filters, channels // groups, side, side)
    factors = signs.pack_factors(torch.rand(filters), torch.randn(filters), groups)
    return signs.pack_filters(w, groups), factors, tuple(w.shape)


POINTWISE = [
    pytest.param((1, 64, 8, 8), 32, Geometry(), True, id="whole-tiles"),
    pytest.param((1, 64, 6, 8), 64, Geometry(), True, id="one-vector"),
    pytest.param((3, 33, 9, 7), 9, Geometry(), True, id="ragged-in-both"),
    pytest.param((2, 70, 8, 12), 20, Geometry(groups=2), True, id="groups"),
    pytest.param((1, 40, 6, 14), 12, Geometry(padding=(1, 1)), True, id="bordered"),
    pytest.param((2, 64, 15, 16), 24, Geometry((2, 2)), True, id="stride-2"),
    pytest.param((1, 32, 11, 18), 8, Geometry((1, 2)), True, id="stride-along-a-row"),
    pytest.param((1, 32, 20, 19), 8, Geometry((3, 3)), False, id="stride-3"),
    pytest.param((1, 64, 1, 3), 8, Geometry(), False, id="fewer-pixels-than-lanes"),
    pytest.param((1, 2048, 7, 7), 32, Geometry(), False, id="long-sums"),
]
FAST = ("groups",)


@pytest.mark.parametrize(
    ("image", "filters", "geometry", "across", "layout"), all_crossed(all_but(FAST, POINTWISE), LAYOUTS)
)
def test_one_by_one_layers_are_the_references(image, filters, geometry, across, layout, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    x = torch.randn(image).contiguous(memory_format=layout)
    words, factors, shape = packed_layer(filters, image[1], 1, geometry.groups)
    expected = reference.binary_packed_forward(x, words, factors, shape, geometry)
    out = dispatch.binary_packed_forward(x, words, factors, shape, geometry)
    assert torch.equal(out, expected)
    plan = cpu_binary._plan(x.shape, x.stride(), shape, geometry, layout, torch.get_num_threads())
    # Channels-first, with rows long enough, vectors lie along the pixels.
    assert plan.kernel.kernel.across == (across and layout == torch.contiguous_format)


WORDS = [
    pytest.param((2, 64, 7, 9), (20, 3), Geometry((2, 1), (1, 2)), id="bordered"),
    pytest.param((1, 37, 8, 16), (32, 1), Geometry(), id="one-by-one"),
    pytest.param((2, 64, 9, 16), (24, 1), Geometry((2, 2)), id="skipped-pixels"),
    pytest.param((1, 128, 6, 9), (8, 3), Geometry(padding=(1, 1), dilation=(1, 2), groups=2), id="groups"),
    pytest.param((2, 1, 5, 6), (1, 3), Geometry(padding=(1, 1)), id="one-channel-and-filter"),
]
FAST_WORDS = ("groups", "one-channel-and-filter")


@pytest.mark.parametrize(
    ("image", "filters", "geometry", "layout"), all_crossed(all_but(FAST_WORDS, WORDS), LAYOUTS)
)
def test_words_come_in_and_go_out(image, filters, geometry, layout, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(lookup, "looks_up_here", lambda: False)
    x = torch.randn(image).contiguous(memory_format=layout)
    layer = (*packed_layer(filters[0], image[1], filters[1], geometry.groups), geometry)
    expected = reference.binary_packed_forward(x, *layer)
    for given in (x, signs.pack_image(x)):
        assert torch.equal(dispatch.binary_packed_forward(given, *layer), expected)
        assert torch.equal(reference.binary_packed_forward(given, *layer), expected)
        found = dispatch.binary_signs_forward(given, *layer)
        assert torch.equal(found, signs.pack_image(expected))
        # An image of one channel is dense in both layouts.
        assert output_layout(found) == output_layout(x)


masks = with_and_without_masks(cpu_signs, cpu_signs.plan_packing)


@pytest.mark.usefixtures("masks")
@pytest.mark.parametrize(
    ("size", "channels", "planar", "step", "layout"),
    all_crossed(
        [pytest.param(size, id=f"{size}") for size in ((5, 7), (9, 64), (3, 130), (1, 1))],
        numbers(1, 32, 37, 128),
        cases(pixels=False, planes=True),
        numbers(1, 2),
        LAYOUTS,
    ),
)
def test_each_loop_packs_the_signs(layout, step, planar, channels, size) -> None:  # type: ignore[no-untyped-def]
    x = torch.randn(2, 2 * channels, *size).contiguous(memory_format=layout)[..., ::step]
    assert cpu_signs.packable(x.shape, x.stride())
    packing = cpu_signs.plan_packing(x.shape, x.stride(), 2, (1, 2), 3, planar)
    memory = packing.fresh()
    assert not packing.pack_into(x, memory)
    words = memory.as_strided(packing.size, packing.stride)
    bits = words.unflatten(1, (2, -1))[:, :, :, None] >> torch.arange(32)[:, None, None] & 1
    bits = bits.flatten(2, 3)
    assert torch.equal(bits[:, :, :channels, 1:-1, 2:-2].flatten(1, 2).bool(), x < 0)
    assert bits.sum() == (x < 0).sum()
    x[1, channels, -1, -1] = float("nan")
    assert packing.pack_into(x, memory)


@pytest.mark.usefixtures("masks")
def test_no_byte_beyond_the_image_is_read() -> None:
    # A NaN behind each row and behind the image would be found if it were read.
    memory = torch.full((4, 40, 12, 40), float("nan"))
    x = memory[1:3, 3:36, 2:9, 1:36:2]
    x.copy_(torch.randn(x.shape))
    assert torch.equal(cpu_signs.pack_signs(x, 1), cpu_signs.pack_signs(x.contiguous(), 1))


def test_a_nan_between_strides_is_not_read() -> None:
    x, (words, factors, shape) = torch.randn(1, 32, 8, 8), packed_layer(8, 32, 1)
    x[:, :, 1::2], x[:, :, :, 1::2] = float("nan"), float("nan")
    geometry = Geometry((2, 2))
    out = cpu_binary.convolve(x, words, factors, shape, geometry, torch.contiguous_format)
    assert torch.equal(out, reference.binary_packed_forward(x, words, factors, shape, geometry))


@pytest.mark.parametrize("layout", all_but(("nchw",), LAYOUTS))
def test_nothing_of_a_call_is_left_for_the_next(layout: torch.memory_format) -> None:
    words, factors, shape = packed_layer(8, 40, 3)
    geometry = Geometry(padding=(1, 1))
    for fill in (-torch.ones(()), torch.ones(()), torch.full((), float("nan")), -torch.ones(())):
        x = fill.expand(2, 40, 5, 6).contiguous(memory_format=layout)
        out = dispatch.binary_packed_forward(x, words, factors, shape, geometry)
        expected = reference.binary_packed_forward(x, words, factors, shape, geometry)
        assert torch.equal(out.nan_to_num(7), expected.nan_to_num(7))


def test_calls_from_several_threads_share_no_memory() -> None:
    # The kernel of the test before.
    words, factors, shape = packed_layer(8, 40, 3)
    geometry = Geometry(padding=(1, 1))
    images = [torch.randn(2, 40, 5, 6) for _ in range(8)]
    expected = [reference.binary_packed_forward(x, words, factors, shape, geometry) for x in images]

    def run(index: int) -> bool:
        out = cpu_binary.convolve(images[index], words, factors, shape, geometry, torch.contiguous_format)
        return torch.equal(out, expected[index])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, [index % 8 for index in range(200)]))


def test_changed_weights_are_seen_and_dead_ones_forgotten() -> None:
    x, geometry = torch.randn(1, 32, 8, 8), Geometry()
    words, factors, shape = packed_layer(8, 32, 1)
    others = packed_layer(8, 32, 1)[0]
    for change in ("as it was", "written in place", "swapped"):
        if change == "written in place":
            words.data.copy_(others)
        elif change == "swapped":
            words.data = packed_layer(8, 32, 1)[0]
        out = cpu_binary.convolve(x, words, factors, shape, geometry, torch.contiguous_format)
        assert torch.equal(out, reference.binary_packed_forward(x, words, factors, shape, geometry)), change
    kept = [weakref.ref(operand) for operand in (x, words, factors)]
    del x, words, factors
    gc.collect()
    assert [dead() for dead in kept] == [None] * 3
