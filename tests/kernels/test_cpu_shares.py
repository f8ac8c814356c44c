"""Images that are laid out by several threads: every part once, and the same bits as by one."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from addercost.kernels import reference, signs
from addercost.kernels.problem import Geometry
from tests.kernels.geometries import all_but, all_crossed, cases

pytest.importorskip("halide", reason="the CPU kernels need halide")
shares = pytest.importorskip("addercost.kernels.cpu.shares")
cpu_binary = pytest.importorskip("addercost.kernels.cpu.binary.convolution")
cpu_signs = pytest.importorskip("addercost.kernels.cpu.binary.packing")
u8 = pytest.importorskip("addercost.kernels.cpu.u8.convolution")

MANY = 64 * shares.LEAST_ELEMENTS
LAYOUTS = cases(nchw=torch.contiguous_format, nhwc=torch.channels_last)


@pytest.mark.parametrize("images", [1, 2, 3, 7])
@pytest.mark.parametrize("rows", [1, 5, 8])
@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_every_row_of_every_image_is_in_one_share(images: int, rows: int, threads: int) -> None:
    parts = shares.shares(images, rows, MANY, threads)
    seen = [
        (image, row)
        for part in parts
        for image in range(part.first_image, part.first_image + part.images)
        for row in range(part.first_row, part.first_row + part.rows)
    ]
    assert sorted(seen) == [(image, row) for image in range(images) for row in range(rows)]
    assert len(parts) == (threads if max(images, rows) >= threads else 1)


def test_little_is_done_by_one() -> None:
    assert len(shares.shares(8, 8, 2 * shares.LEAST_ELEMENTS - 1, 4)) == 1


@pytest.fixture
def three_threads(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Three threads, and shares for them however little there is to do."""
    monkeypatch.setattr(shares, "LEAST_ELEMENTS", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    for plan in (cpu_signs.plan_packing, cpu_binary._plan, u8._plan):
        plan.cache_clear()
    yield
    torch.set_num_threads(before)
    for plan in (cpu_signs.plan_packing, cpu_binary._plan, u8._plan):
        plan.cache_clear()


SHAPES = [
    pytest.param((4, 40, 6, 9), (8, 3, 3), Geometry(padding=(1, 1)), id="images"),
    pytest.param((1, 64, 7, 18), (16, 3, 3), Geometry((2, 2), (1, 2)), id="rows"),
    pytest.param((1, 32, 12, 4), (16, 1, 1), Geometry(), id="rows-of-one-run"),
    pytest.param((3, 3, 9, 9), (6, 5, 5), Geometry(), id="three-channels"),
]


@pytest.mark.parametrize(
    ("image", "filters", "geometry", "layout"), all_crossed(all_but(("images",), SHAPES), LAYOUTS)
)
def test_several_threads_give_the_bits_of_one(image, filters, geometry, layout, three_threads) -> None:  # type: ignore[no-untyped-def]
    (k, r, s), c = filters, image[1]
    x, w = torch.randn(image).contiguous(memory_format=layout), torch.randn(k, c, r, s)
    words, factors = signs.pack_filters(w, 1), signs.pack_factors(torch.rand(k), None, 1)
    out = cpu_binary.convolve(x, words, factors, (k, c, r, s), geometry, layout)
    assert torch.equal(out, reference.binary_packed_forward(x, words, factors, (k, c, r, s), geometry))
    plan = cpu_binary._plan(x.shape, x.stride(), (k, c, r, s), geometry, layout, 3)
    assert len(plan.packing.calls) == 3
    codes, weights = (torch.randint(0, 256, t.shape, dtype=torch.uint8) for t in (x, w))
    codes = codes.contiguous(memory_format=layout)
    assert torch.equal(
        u8.convolve(codes, weights, geometry), reference.adder_u8_forward(codes, weights, geometry)
    )


def test_a_nan_in_any_share_is_found(three_threads) -> None:  # type: ignore[no-untyped-def]
    for row in (0, 4, 8):
        x = torch.zeros(1, 32, 9, 5)
        x[0, 7, row, 2] = float("nan")
        packing = cpu_signs.plan_packing(x.shape, x.stride(), 1, threads=3)
        assert packing.pack_into(x, packing.fresh())


def test_a_forked_process_does_not_wait_for_threads_of_its_parent(three_threads: None) -> None:
    x = torch.zeros(3, 32, 9, 5)
    packing = cpu_signs.plan_packing(x.shape, x.stride(), 1, threads=3)
    memory = packing.fresh()
    assert len(packing.calls) == 3
    assert not packing.pack_into(x, memory)
    child = os.fork()
    if not child:
        signal.alarm(30)  # of which it would die if it waited for threads that it does not have
        os._exit(int(packing.pack_into(x, memory)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
