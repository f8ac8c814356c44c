"""The Halide kernels against the reference."""

from __future__ import annotations

import importlib
import itertools
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from addercost.kernels import dispatch, reference, signs
from addercost.kernels.problem import Geometry
from tests.kernels.geometries import FAST, all_but, all_crossed, cases, exhaustive, in_turns, numbers

pytest.importorskip("halide", reason="the CPU kernels need halide")
dense = pytest.importorskip("addercost.kernels.cpu.dense.convolution")
cpu_binary = pytest.importorskip("addercost.kernels.cpu.binary.convolution")
vector_bytes = pytest.importorskip("addercost.kernels.cpu.processor").vector_bytes
u8 = pytest.importorskip("addercost.kernels.cpu.u8.convolution")
pack_signs = pytest.importorskip("addercost.kernels.cpu.binary.packing").pack_signs

EXHAUSTIVE = pytest.mark.exhaustive
LAYOUTS = [torch.contiguous_format, torch.channels_last]
LAYOUT_IDS = ["nchw", "nhwc"]


def operands(
    image: tuple[int, int, int, int],
    filters: tuple[int, int, int],
    geometry: Geometry,
    layout: torch.memory_format,
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(sum(image) + sum(filters))
    k, r, s = filters
    x = torch.randn(image, generator=generator).contiguous(memory_format=layout)
    return x, torch.randn(k, image[1] // geometry.groups, r, s, generator=generator)


@pytest.mark.parametrize(
    ("image", "filters", "geometry", "layout"),
    [
        *in_turns(all_but(FAST), nchw=LAYOUTS[0], nhwc=LAYOUTS[1]),
        *in_turns(all_but(()), nhwc=LAYOUTS[1], nchw=LAYOUTS[0]),
    ],
)
def test_adder_forward_is_the_references(image, filters, geometry, layout) -> None:  # type: ignore[no-untyped-def]
    x, w = operands(image, filters, geometry, layout)
    expected = reference.adder_forward(x, w, geometry)
    out = dense.convolve("adder", x, w, geometry)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)
    assert out.stride() == expected.stride()


# The other arithmetics share algorithm and schedule: for them the two layouts take turns, so that each class
# is compiled once.
FEW = in_turns(
    all_but(("stride-and-dilation", "1x1-stride-2", "33-filters", "one-column")),
    nchw=LAYOUTS[0],
    nhwc=LAYOUTS[1],
)


# One of each layout: a gradient takes two or three kernels.
TWO = in_turns(all_but(("stride-and-dilation", "one-column")), nchw=LAYOUTS[0], nhwc=LAYOUTS[1])


@pytest.mark.parametrize(("image", "filters", "geometry", "layout"), FEW)
def test_mac_forward_is_the_references(image, filters, geometry, layout) -> None:  # type: ignore[no-untyped-def]
    x, w = operands(image, filters, geometry, layout)
    expected = reference.mac_forward(x, w, geometry)
    torch.testing.assert_close(dense.convolve("mac", x, w, geometry), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 100.0], ids=["near", "far"])
@pytest.mark.parametrize(("image", "filters", "geometry", "layout"), TWO)
def test_input_gradient_is_the_references(image, filters, geometry, layout, scale, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    x, w = (t * scale for t in operands(image, filters, geometry, layout))
    g = torch.randn_like(reference.mac_forward(x, w, geometry))
    expected = reference.adder_input_gradient(g, x, w, geometry, "full")
    out = dispatch.adder_input_gradient(g, x, w, geometry, "full")
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)
    assert out.stride() == expected.stride()


@pytest.mark.parametrize(("image", "filters", "geometry", "layout"), TWO)
def test_sign_gradients_are_the_references(image, filters, geometry, layout, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    # Few values, so that many inputs equal a weight and the sign is 0.
    x, w = (t.round() for t in operands(image, filters, geometry, layout))
    g = torch.randn_like(reference.mac_forward(x, w, geometry))
    for gradient in (dispatch.adder_input_gradient, dispatch.adder_weight_gradient):
        expected = getattr(reference, gradient.__name__)(g, x, w, geometry, "sign")
        torch.testing.assert_close(gradient(g, x, w, geometry, "sign"), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("image", "filters", "geometry", "layout"), FEW)
def test_u8_adder_is_exact(image, filters, geometry, layout) -> None:  # type: ignore[no-untyped-def]
    x, w = (t.mul(60).add(128).clamp(0, 255).byte() for t in operands(image, filters, geometry, layout))
    expected = reference.adder_forward(x.double(), w.double(), geometry)
    out = u8.convolve(x, w, geometry)
    assert out.dtype == torch.int32
    assert torch.equal(out.double(), expected)


@pytest.mark.parametrize(("image", "filters", "geometry", "layout"), FEW)
def test_binary_is_the_references(image, filters, geometry, layout, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    x, w = operands(image, filters, geometry, layout)
    x[..., 0], x[..., -1] = 0.0, -0.0
    expected = reference.binary_forward(x, w, geometry)
    out = dispatch.binary_forward(x, w, geometry)
    assert torch.equal(out, expected)
    assert out.stride() == expected.stride()


@pytest.mark.parametrize(
    ("image", "filters", "geometry", "layout"),
    all_crossed(
        all_but(("stride-and-dilation", "groups", "33-filters", "1x1-stride-2")),
        cases(nchw=torch.contiguous_format, nhwc=torch.channels_last),
    ),
)
def test_packed_binary_is_the_references(image, filters, geometry, layout, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    x, w = operands(image, filters, geometry, layout)
    words = signs.pack_filters(w, geometry.groups)
    factors = signs.pack_factors(torch.rand(filters[0]), torch.randn(filters[0]), geometry.groups)
    arguments = (x, words, factors, tuple(w.shape), geometry)
    expected = reference.binary_packed_forward(*arguments)
    out = dispatch.binary_packed_forward(*arguments)
    assert torch.equal(out, expected)
    assert out.stride() == expected.stride()


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("filters", [3, 33, 96])
def test_filters_pack_alike_by_torch_and_by_the_kernel(filters: int, groups: int) -> None:
    w = torch.randn(filters, 37, 3, 2)
    packed = signs.pack_filters(w, groups)
    assert torch.equal(cpu_binary.pack_filters(w, groups), packed)
    unpacked = signs.unpack_filters(packed, tuple(w.shape), torch.float32)
    assert torch.equal(unpacked, reference.binary_sign(w))


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_IDS)
@pytest.mark.parametrize("width", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("channels", [1, 32, 33, 70])
def test_packed_words_hold_the_signs(channels: int, width: int, layout: torch.memory_format) -> None:
    x = torch.randn(2, 2 * channels, 3, width).contiguous(memory_format=layout)
    x[..., 0], x[..., -1] = 0.0, -0.0
    packed = pack_signs(x, 2, (1, 2))
    words = -(-channels // 32)
    bits = packed.unflatten(1, (2, words))[:, :, :, None] >> torch.arange(32)[:, None, None] & 1
    bits = bits.flatten(2, 3)
    assert bits[:, :, channels:].sum() == 0
    inside = bits[:, :, :channels, 1:-1, 2:-2]
    assert torch.equal(inside.flatten(1, 2).bool(), x < 0)
    assert bits.sum() == inside.sum()


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_IDS)
def test_nan_is_found_wherever_it_is_and_infinity_has_a_sign(layout: torch.memory_format) -> None:
    for at in ((0, 0, 0, 0), (1, 36, 2, 18), (0, 33, 1, 16)):
        x = torch.randn(2, 37, 3, 19).contiguous(memory_format=layout)
        x[at] = float("nan")
        assert pack_signs(x, 1) is None
        x[at] = -float("inf")
        w = torch.randn(4, 37, 1, 1)
        out = dispatch.binary_forward(x, w, Geometry())
        assert torch.equal(out, reference.binary_forward(x, w, Geometry()))


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_IDS)
@pytest.mark.parametrize("channels", [31, 32, 33, 64, 100])
def test_binary_at_and_around_whole_words(channels: int, layout: torch.memory_format) -> None:
    x, w = operands((2, channels, 5, 5), (9, 3, 3), Geometry(), layout)
    out = dispatch.binary_forward(x, w, Geometry())
    assert torch.equal(out, reference.binary_forward(x, w, Geometry()))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_result_does_not_depend_on_the_threads(threads: int) -> None:
    before = torch.get_num_threads()
    image, filters, geometry = (3, 8, 9, 11), (70, 3, 3), Geometry(padding=(1, 1))
    x, w = operands(image, filters, geometry, torch.contiguous_format)
    try:
        torch.set_num_threads(threads)
        many, one = dense.convolve("adder", x, w, geometry), dense.convolve("adder", x[:1], w, geometry)
    finally:
        torch.set_num_threads(before)
    expected = reference.adder_forward(x, w, geometry)
    torch.testing.assert_close(many, expected, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(one, expected[:1], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("batch", [5, *exhaustive(1, 64)])
def test_sign_gradient_of_a_linear_layer(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    x, w = torch.randn(batch, 40, 1, 1).round(), torch.randn(33, 40, 1, 1).round()
    g = torch.randn(batch, 33, 1, 1)
    expected = torch.einsum("nk,nkc->kc", g[..., 0, 0], torch.sign(x[:, None, :, 0, 0] - w[None, ..., 0, 0]))
    ours = dispatch.adder_weight_gradient(g, x, w, Geometry(), "sign")
    torch.testing.assert_close(ours[..., 0, 0], expected, rtol=1e-5, atol=1e-4)


def test_the_sign_gradient_of_a_batch_is_computed_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip("addercost.kernels.cpu.dense.weight_gradient")
    x, w = torch.randn(7, 6, 9, 8), torch.randn(5, 6, 3, 3)
    geometry = Geometry((2, 1), (1, 0))
    g = torch.randn_like(reference.mac_forward(x, w, geometry))
    monkeypatch.setattr(module, "CHUNK_PIXELS", 3 * g[0, 0].numel() + 1)
    expected = reference.adder_weight_gradient(g, x, w, geometry, "sign")
    before = dispatch.runs["adder_weight_gradient", "halide"]
    ours = dispatch.adder_weight_gradient(g, x, w, geometry, "sign")
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-4)
    assert dispatch.runs["adder_weight_gradient", "halide"] == before + 1


VIEWS = {
    "every-second-column": lambda t: t[..., ::2],
    "transposed": lambda t: t.transpose(2, 3),
    "expanded-batch": lambda t: t[:1].expand(3, -1, -1, -1),
    "expanded-channels": lambda t: t[:, :1].expand(-1, 4, -1, -1),
    "overlapping-windows": lambda t: t[0, 0].unfold(1, 6, 1).unfold(0, 4, 1).permute(0, 1, 3, 2)[:, :4],
    "flipped": lambda t: t.flip(3),
    "offset": lambda t: t[1:, :, 2:, 1:],
}


@pytest.mark.parametrize(
    "view", all_but(("transposed", "expanded-channels", "overlapping-windows", "offset"), cases(**VIEWS))
)
@pytest.mark.parametrize("filter_size", [3, *exhaustive(1)])
def test_views_give_the_answer_of_their_copies(view, filter_size: int) -> None:  # type: ignore[no-untyped-def]
    x = view(torch.randn(2, 4, 8, 12))
    w = torch.randn(5, 4, 3, 3).transpose(2, 3)[:, :, :filter_size, :filter_size]
    out = dense.convolve("adder", x, w, Geometry())
    expected = reference.adder_forward(x.clone(), w.clone(), Geometry())
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("value", [float("nan"), *exhaustive(float("inf"), -float("inf"))])
def test_nan_and_infinity_propagate(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    x, w = torch.randn(1, 3, 5, 5), torch.randn(4, 3, 3, 3)
    for poisoned in (x, w):
        kept = poisoned[0, 1, 1, 1].item()
        poisoned[0, 1, 1, 1] = value
        expected = reference.adder_forward(x, w, Geometry())
        torch.testing.assert_close(
            dispatch.adder_forward(x, w, Geometry()), expected, equal_nan=True, rtol=1e-5, atol=1e-4
        )
        monkeypatch.delenv(dispatch.VARIABLE, raising=False)
        g = torch.ones_like(expected)
        expected = reference.adder_input_gradient(g, x, w, Geometry(), "full")
        torch.testing.assert_close(
            dispatch.adder_input_gradient(g, x, w, Geometry(), "full"), expected, equal_nan=True
        )
        expected = reference.adder_weight_gradient(g, x, w, Geometry(), "sign")
        torch.testing.assert_close(
            dispatch.adder_weight_gradient(g, x, w, Geometry(), "sign"), expected, equal_nan=True
        )
        poisoned[0, 1, 1, 1] = kept


@pytest.mark.parametrize(
    ("value", "gradient"),
    all_crossed(cases(nan=float("nan"), infinity=float("inf")), cases(full="full", sign="sign")),
)
def test_a_gradient_that_is_not_finite_stays_so(value: float, gradient: str) -> None:
    # Halves, so that some inputs equal a weight: zero times infinity is NaN.
    x, w = torch.randn(1, 3, 5, 5).mul(2).round() / 2, torch.randn(4, 3, 3, 3).mul(2).round() / 2
    g = torch.ones(1, 4, 3, 3)
    g[0, 1, 1, 1] = value
    expected = reference.adder_input_gradient(g, x, w, Geometry(), gradient)
    out = dispatch.adder_input_gradient(g, x, w, Geometry(), gradient)
    torch.testing.assert_close(out, expected, equal_nan=True, rtol=1e-5, atol=1e-4)


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
    from addercost.kernels.cpu.dense.rule import default_schedule
    from addercost.kernels.cpu.dense.sites import SITES
    from addercost.kernels.cpu.processor import Core

    core, stationary = Core(bytes_, 32 if bytes_ == 64 else 16, 2.0, 0.0), len(SITES[site].stationary)
    for filters, columns in itertools.product((*range(1, 70), 96, 256), (*range(1, 20), 56, 3136)):
        extents = Extents(1, 8, filters, 7, columns, 3, 3, 1, 1, 1, columns + 2)
        schedule = default_schedule(KernelRequest(site, extents, True, True, site == "xnor"), core)
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
    kernel = dense._plan("adder", *place, 1).kernel
    assert (kernel.joined, kernel.across) == (joined, across)
    # One image has one row then, and its four blocks of filters are all that threads can share.
    assert dense._plan("adder", *place, 5).kernel.joined is False


# Of 4,104 taps a block has four tiles of 16 filters: here there are eight, in two groups, on three images.
_MANY_BLOCKS = (3, 912, 4, 5), (256, 3, 3), Geometry((2, 1), (1, 1), groups=2)


@pytest.mark.parametrize(
    ("threads", "layout"),
    all_crossed(numbers(1, 3, 8), cases(nchw=torch.contiguous_format, nhwc=torch.channels_last)),
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
