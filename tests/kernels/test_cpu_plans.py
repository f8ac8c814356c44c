"""How the Halide kernels are cut into tiles, and which buffers they keep."""

from __future__ import annotations

import importlib
import itertools
import re
from pathlib import Path

import pytest
import torch

from addercost.kernels import reference
from addercost.kernels.problem import Geometry
from tests.kernels.geometries import all_but, all_crossed, cases, numbers
from tests.kernels.operands import operands

dense = pytest.importorskip("addercost.kernels.cpu.dense.convolution")
processor = pytest.importorskip("addercost.kernels.cpu.processor")
rule = pytest.importorskip("addercost.kernels.cpu.dense.rule")

vector_bytes = processor.vector_bytes

EXHAUSTIVE = pytest.mark.exhaustive


def test_resnet_50_needs_few_compilations() -> None:
    # (channels, filters, size, filter, stride) of its distinct convolutions, on a meta-sized batch of one.
    shapes = [(3, 64, 224, 7, 2)]
    for width, inner, size in ((256, 64, 56), (512, 128, 28), (1024, 256, 14), (2048, 512, 7)):
        before = width // 2 if inner > 64 else 64
        shapes += [(before, inner, size, 1, 1), (inner, inner, size, 3, 1), (inner, width, size, 1, 1)]
        shapes += [
            (width, inner, size, 1, 1),
            (inner, inner, 2 * size, 3, 2),
            (before, width, 2 * size, 1, 2),
        ]
    from addercost.kernels.cpu.dense.extents import Extents
    from addercost.kernels.cpu.dense.plan import choose_class
    from addercost.kernels.cpu.dense.request import KernelRequest

    classes = set()
    for c, k, size, f, stride in shapes:
        direct, out = f == 1, size // stride
        rows, columns = (1, out * out) if direct and stride == 1 else (out, out)
        extents = Extents(1, c, k, rows, columns, f, f, stride, stride, 1, size + f - 1)
        classes.add(choose_class(KernelRequest("adder", extents, True, True, direct)))
    assert len(classes) <= 8


@pytest.mark.parametrize("bytes_", [16, 32, 64], ids=["sse", "avx2", "avx512"])
@pytest.mark.parametrize("site", ["adder", "adder_u8", "adder_gradient", "adder_gradient_near", "xnor"])
def test_every_size_has_a_tile_that_fits_the_registers(site: str, bytes_: int) -> None:
    from addercost.kernels.cpu.dense.extents import Extents
    from addercost.kernels.cpu.dense.request import KernelRequest
    from addercost.kernels.cpu.dense.sites import SITES

    core = processor.Core(bytes_, 32 if bytes_ == 64 else 16, 2.0, 0.0)
    stationary = len(SITES[site].stationary)
    for filters, columns in itertools.product((*range(1, 70), 96, 256), (*range(1, 20), 56, 3136)):
        extents = Extents(1, 8, filters, 7, columns, 3, 3, 1, 1, 1, columns + 2)
        schedule = rule.default_schedule(KernelRequest(site, extents, True, True, site == "xnor"), core)
        assert schedule.vectors * schedule.pixels * (1 + stationary) <= core.registers


@pytest.mark.skipif(vector_bytes() != 64, reason="reads AVX-512 instructions")
@pytest.mark.parametrize("across", [False, True], ids=["filters", "planes"])
def test_the_adders_inner_loop_is_its_arithmetic(across: bool, tmp_path: Path) -> None:
    from addercost.kernels.cpu.dense.kernel_class import KernelClass
    from addercost.kernels.cpu.dense.pipeline import scheduled

    kernel = KernelClass("adder", 16, 1, 8, True, True, False, False, whole_squares=True)
    if across:
        kernel = KernelClass(
            "adder", 16, 1, 8, False, False, True, False, across=True, slack=True, filter_axes=0,
            whole_filters=True, whole_columns=True,
        )  # fmt: skip
    output, arguments = scheduled(kernel)
    target = importlib.import_module("halide").get_host_target()
    output.compile_to_assembly(str(tmp_path / "kernel.s"), arguments, "kernel", target)
    code = (tmp_path / "kernel.s").read_text()
    # One subtraction of what memory broadcasts and one fused addition for each of the tile's 8 sums.
    loop = max(re.split(r"^\.L\w+:", code, flags=re.M), key=lambda block: block.count("vfmadd"))
    assert loop.count("vsubps") == loop.count("vfmadd") == 8
    assert loop.count("{1to16}") == 8
    assert loop.count("vaddps") == loop.count("Spill") == 0


ZEN_4 = processor.Core(vector_bytes=64, registers=32, ports=2.0, load_cycles=0.0)


@pytest.mark.skipif(vector_bytes() != 64, reason="tiles for the 32 registers of AVX-512")
@pytest.mark.parametrize(
    ("image", "filters", "layout", "joined", "across"),
    [
        pytest.param((1, 64, 4, 4), (64, 3, 3), torch.channels_last, True, False, id="4x4"),
        pytest.param(
            (1, 64, 14, 14), (64, 3, 3), torch.channels_last, False, False, id="14x14", marks=EXHAUSTIVE
        ),
        pytest.param((1, 64, 8, 8), (64, 1, 1), torch.contiguous_format, False, True, id="planes"),
        pytest.param(
            (1, 64, 7, 7),
            (64, 1, 1),
            torch.contiguous_format,
            False,
            False,
            id="planes-of-49",
            marks=EXHAUSTIVE,
        ),
        pytest.param(
            (1, 64, 8, 8),
            (64, 1, 1),
            torch.channels_last,
            False,
            False,
            id="1x1-channels-last",
            marks=EXHAUSTIVE,
        ),
    ],
)
def test_rows_are_joined_and_planes_read_where_it_pays(image, filters, layout, joined, across) -> None:  # type: ignore[no-untyped-def]
    geometry = Geometry(padding=(filters[1] // 2, filters[2] // 2))
    x, w = operands(image, filters, geometry, layout)
    place = (x.shape, x.stride(), w.shape, w.stride(), geometry, layout)
    alone, shared = (
        rule.default_schedule(dense._plan("adder", *place, threads).request, ZEN_4) for threads in (1, 5)
    )
    assert (alone.joined, alone.across) == (joined, across)
    # One image has one row then, and its four blocks of filters are all that threads can share.
    assert shared.joined is False


# Of 4,104 taps a block has four tiles of 16 filters: here there are eight, in two groups, on three images.
_MANY_BLOCKS = (3, 912, 4, 5), (256, 3, 3), Geometry((2, 1), (1, 1), groups=2)


@pytest.mark.parametrize(
    ("threads", "layout"),
    all_crossed(
        all_but(("1", "8"), numbers(1, 3, 8)), cases(nchw=torch.contiguous_format, nhwc=torch.channels_last)
    ),
)
def test_many_blocks_share_one_copy_of_the_input(threads: int, layout: torch.memory_format) -> None:
    image, filters, geometry = _MANY_BLOCKS
    x, w = operands(image, filters, geometry, layout)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        out = dense.convolve("adder", x, w, geometry)
        place = (x.shape, x.stride(), w.shape, w.stride(), geometry, layout)
        kernel = dense._plan("adder", *place, threads).kernel
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(out, reference.adder_forward(x, w, geometry), rtol=1e-5, atol=1e-3)
    # Pixels of a channels-last image are copied so fast that nothing is won.
    assert kernel.kept_scratch == (layout == torch.contiguous_format)


def test_a_copy_that_would_be_large_is_not_kept() -> None:
    image, _, geometry = _MANY_BLOCKS
    x, w = torch.empty((200, *image[1:]), device="meta"), torch.empty(256, 456, 3, 3, device="meta")
    place = (x.shape, x.stride(), w.shape, w.stride(), geometry, torch.contiguous_format)
    assert not dense._plan("adder", *place, 1).kernel.kept_scratch
