"""Packed binary layers by table look-up: tiles and layouts, which layers are taken, arranged weights."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from addercost.kernels import dispatch, reference, signs
from addercost.kernels.problem import Geometry, output_layout
from tests.kernels.geometries import all_but, all_crossed, cases, numbers

pytest.importorskip("halide", reason="the CPU kernels need halide")
lookup = pytest.importorskip("addercost.kernels.cpu.binary.lookup")
loops = pytest.importorskip("addercost.kernels.cpu.binary.lookup_loops")

LAYOUTS = cases(nchw=torch.contiguous_format, nhwc=torch.channels_last)
LAYERS = [
    pytest.param((1, 32, 6, 6), (64, 3, 3), Geometry(padding=(1, 1)), id="two-vectors"),
    pytest.param((2, 37, 9, 7), (32, 3, 3), Geometry(padding=(1, 1)), id="ragged-channels"),
    pytest.param((1, 64, 5, 9), (96, 1, 1), Geometry(), id="rows-joined"),
    pytest.param((2, 40, 9, 11), (64, 1, 1), Geometry((2, 2)), id="strided-pixels"),
    pytest.param((1, 33, 11, 10), (32, 5, 3), Geometry((2, 1), (2, 0), (2, 1)), id="dilated-rows"),
    pytest.param((3, 32, 3, 3), (64, 3, 3), Geometry(), id="one-pixel"),
    pytest.param((1, 32, 4, 5), (64, 2, 3), Geometry(), id="three-pixels-a-row"),
    # 3 · 416 / 8 bytes in a row of a filter: four parts are widened, and all signs may differ.
    pytest.param((1, 416, 5, 6), (32, 3, 3), Geometry(padding=(1, 1)), id="long-rows"),
    pytest.param((1, 8160, 1, 5), (32, 1, 8), Geometry(padding=(0, 3)), id="most-terms"),
]
FAST = ("ragged-channels", "strided-pixels", "long-rows")


def packed_layer(filters: int, channels: int, r: int, s: int):  # type: ignore[no-untyped-def]
    w = torch.randn(filters, channels, r, s)
    factors = signs.pack_factors(torch.rand(filters), torch.randn(filters), 1)
    return signs.pack_filters(w, 1), factors, (filters, channels, r, s)


@pytest.mark.parametrize(
    ("image", "filters", "geometry", "layout"), all_crossed(all_but(FAST, LAYERS), LAYOUTS)
)
def test_looked_up_sums_are_the_references(image, filters, geometry, layout) -> None:  # type: ignore[no-untyped-def]
    x = torch.randn(image).contiguous(memory_format=layout)
    words, factors, shape = packed_layer(filters[0], image[1], *filters[1:])
    expected = reference.binary_packed_forward(x, words, factors, shape, geometry)
    for given in (x, signs.pack_image(x)):
        out = lookup.convolve(given, words, factors, shape, geometry, layout)
        assert torch.equal(out, expected)
        assert out.is_contiguous(memory_format=layout)
        of_signs = lookup.convolve(given, words, factors, shape, geometry, layout, signs=True)
        assert torch.equal(of_signs, signs.pack_image(expected))
        assert output_layout(of_signs) == layout or of_signs.shape[2:] == (1, 1)


@pytest.mark.parametrize(
    ("filters", "columns", "layout"), all_crossed(numbers(32, 64), numbers(*range(1, 9)), LAYOUTS)
)
def test_a_row_of_any_length_is_whole(filters: int, columns: int, layout: torch.memory_format) -> None:
    x = torch.randn(1, 32, 2, columns).contiguous(memory_format=layout)
    words, factors, shape = packed_layer(filters, 32, 2, 1)
    out = lookup.convolve(x, words, factors, shape, Geometry(), layout)
    assert torch.equal(out, reference.binary_packed_forward(x, words, factors, shape, Geometry()))


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["none", "all"])
def test_no_sum_of_bytes_overflows(sign: float) -> None:
    x, geometry = torch.ones(1, 4096, 1, 4), Geometry()
    words, factors, shape = packed_layer(32, 4096, 1, 1)
    words = signs.pack_filters(torch.full(shape, sign), 1)
    out = lookup.convolve(x, words, factors, shape, geometry, torch.channels_last)
    assert torch.equal(out, reference.binary_packed_forward(x, words, factors, shape, geometry))


def test_the_table_counts_the_signs_that_differ() -> None:
    for byte in range(256):
        for other in range(16):
            low, high = loops.TABLE[32 * byte + other], loops.TABLE[32 * byte + 16 + other]
            assert low + high == bin(byte ^ (other | other << 4)).count("1")


@pytest.mark.parametrize(
    ("shape", "geometry", "taken"),
    [
        pytest.param((64, 32, 3, 3), Geometry((2, 1), (1, 1), (2, 1)), True, id="plain"),
        pytest.param((48, 32, 3, 3), Geometry(), False, id="part-of-a-vector"),
        pytest.param((64, 16, 3, 3), Geometry(groups=2), False, id="groups"),
        pytest.param((64, 32, 3, 3), Geometry(dilation=(1, 2)), False, id="dilated-columns"),
        pytest.param((32, 65536, 1, 1), Geometry(), False, id="too-many-terms"),
    ],
)
def test_layers_that_the_loop_computes_are_taken(shape, geometry, taken, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(lookup, "looks_up_here", lambda: True)
    assert lookup.takes(shape, geometry) is taken
    monkeypatch.setattr(lookup, "looks_up_here", lambda: False)
    assert not lookup.takes(shape, geometry)


@pytest.mark.parametrize(
    ("features", "looks_up"),
    [
        ({"avx2"}, True),
        ({"avx2", "avx512vpopcntdq"}, False),
        ({"neon"}, False),
    ],
    ids=["avx2", "counts-bits", "arm"],
)
def test_processors_that_count_bits_do_not_look_up(features, looks_up, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(lookup, "host_features", lambda: frozenset(features))
    assert lookup.looks_up_here.__wrapped__() is looks_up


def test_a_packed_layer_runs_it(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    monkeypatch.setattr(lookup, "looks_up_here", lambda: True)
    x, geometry = torch.randn(1, 32, 5, 5), Geometry(padding=(1, 1))
    words, factors, shape = packed_layer(32, 32, 3, 3)
    lookup._arranged.clear()
    out = dispatch.binary_packed_forward(x, words, factors, shape, geometry)
    assert list(lookup._arranged) == [id(words)]
    assert torch.equal(out, reference.binary_packed_forward(x, words, factors, shape, geometry))
    x[0, 3, 2, 1] = float("nan")
    # A NaN has no sign: the reference does the work, which the variable would forbid.
    monkeypatch.delenv(dispatch.VARIABLE)
    out = dispatch.binary_packed_forward(x, words, factors, shape, geometry)
    expected = reference.binary_packed_forward(x, words, factors, shape, geometry)
    assert expected.isnan().any() and torch.equal(out.isnan(), expected.isnan())


def test_several_threads_compute_shares(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from addercost.kernels.cpu import shares

    monkeypatch.setattr(shares, "LEAST_ELEMENTS", 1)
    lookup.lookup_plan.cache_clear()
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for n, layout in ((1, torch.contiguous_format), (5, torch.channels_last)):
            x, geometry = torch.randn(n, 32, 8, 9).contiguous(memory_format=layout), Geometry(padding=(1, 1))
            words, factors, shape = packed_layer(64, 32, 3, 3)
            plan = lookup.lookup_plan(x.shape, x.stride(), shape, geometry, layout, 3)
            assert len(plan.calls) == 3
            expected = reference.binary_packed_forward(x, words, factors, shape, geometry)
            for given in (x, signs.pack_image(x)):
                assert torch.equal(lookup.convolve(given, words, factors, shape, geometry, layout), expected)
                of_signs = lookup.convolve(given, words, factors, shape, geometry, layout, signs=True)
                assert torch.equal(of_signs, signs.pack_image(expected))
    finally:
        torch.set_num_threads(threads)
        lookup.lookup_plan.cache_clear()


def test_changed_words_are_seen_and_dead_ones_forgotten() -> None:
    x, geometry = torch.randn(1, 32, 4, 4), Geometry()
    words, factors, shape = packed_layer(32, 32, 1, 1)
    for change in ("as it was", "written in place", "swapped"):
        if change == "written in place":
            words.data.copy_(packed_layer(32, 32, 1, 1)[0])
        elif change == "swapped":
            words.data = packed_layer(32, 32, 1, 1)[0]
        out = lookup.convolve(x, words, factors, shape, geometry, torch.contiguous_format)
        assert torch.equal(out, reference.binary_packed_forward(x, words, factors, shape, geometry)), change
    number, gone = id(words), weakref.ref(words)
    assert number in lookup._arranged
    del words
    gc.collect()
    assert gone() is None and number not in lookup._arranged
