"""Filters of one pixel with a stride: where planes are large, the pixels that they read are copied first."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("halide", reason="the CPU kernels need halide")

from addercost.kernels import reference
from addercost.kernels.cpu.dense import convolution as dense
from addercost.kernels.cpu.dense.candidates import candidates
from addercost.kernels.cpu.processor import host_core
from addercost.kernels.problem import Geometry
from addercost.kernels.store import PLAIN
from tests.kernels.operands import operands

PLANES, PIXELS = torch.contiguous_format, torch.channels_last


@pytest.fixture
def all_copied(monkeypatch):
    monkeypatch.setattr(dense, "SKIPPED_BYTES", 0)
    dense._plan.cache_clear()
    yield
    dense._plan.cache_clear()


@pytest.mark.parametrize(
    ("image", "filters", "geometry"),
    [
        pytest.param((1, 48, 12, 12), 40, Geometry((2, 2)), id="even"),
        pytest.param((2, 33, 11, 7), 24, Geometry((2, 3)), id="odd"),
        pytest.param((1, 64, 8, 8), 64, Geometry((2, 2), groups=2), id="groups"),
        pytest.param((1, 32, 9, 2), 32, Geometry((2, 2)), id="one column"),
        pytest.param((1, 32, 9, 9), 32, Geometry((3, 1)), id="rows alone"),
    ],
)
@pytest.mark.parametrize("layout", [PLANES, PIXELS], ids=["planes", "pixels"])
def test_the_sums_are_those_of_the_reference(image, filters, geometry, layout, all_copied):
    x, weight = operands(image, (filters, 1, 1), geometry, layout)
    expected = reference.adder_forward(x, weight, geometry)
    torch.testing.assert_close(dense.convolve("adder", x, weight, geometry), expected, rtol=1e-5, atol=1e-4)
    by_torch = torch.nn.functional.conv2d(x, weight, None, geometry.stride, groups=geometry.groups)
    found = dense.convolve("mac", x, weight, geometry)
    torch.testing.assert_close(found, by_torch, rtol=1e-4, atol=1e-4)


def test_a_layer_by_maxima_sums_the_pixels_that_are_read(all_copied):
    """Without a stride the same layer has four times as many pixels. Their sums would be other ones."""
    x, weight = operands((1, 64, 30, 30), (64, 1, 1), Geometry((2, 2)), PLANES)
    request = dense.request_of("adder", x, weight, Geometry((2, 2)))
    by_maxima = next(one for one in candidates(request, host_core()) if one.by_maxima and one.pixels > 3)
    found = dense.convolve("adder", x, weight, Geometry((2, 2)), by_maxima)
    expected = reference.adder_forward(x, weight, Geometry((2, 2)))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("layout", "side", "copied"),
    [
        pytest.param(PLANES, 64, True, id="large planes"),
        pytest.param(PLANES, 32, False, id="planes that a cache keeps"),
        pytest.param(PIXELS, 64, False, id="pixels with neighbouring channels"),
    ],
)
def test_only_large_planes_are_copied(layout, side, copied):
    """Of 128 channels, images take 2 MiB and 512 KiB."""
    x, weight = operands((1, 128, side, side), (32, 1, 1), Geometry((2, 2)), layout)
    ready = dense.ready_of("adder", x, weight, Geometry((2, 2)), PLAIN)
    assert (ready is None) == copied
