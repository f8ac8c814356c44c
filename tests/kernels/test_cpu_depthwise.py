"""Depthwise layers on the CPU: the loop in every arithmetic and layout against the reference."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from addercost.kernels import dispatch, reference, signs
from addercost.kernels.problem import Geometry
from tests.kernels.geometries import all_but, all_crossed, cases, exhaustive, numbers

pytest.importorskip("halide", reason="the CPU kernels need halide")
depthwise = pytest.importorskip("addercost.kernels.cpu.depthwise.convolution")
native = pytest.importorskip("addercost.kernels.cpu.ir.native")
dense = pytest.importorskip("addercost.kernels.cpu.dense.convolution")
shares = pytest.importorskip("addercost.kernels.cpu.shares")

LAYOUTS = cases(nchw=torch.contiguous_format, nhwc=torch.channels_last)


def codes(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


class Kind(NamedTuple):
    """One operation: its operands, of which the first is the image, and both ways to compute it."""

    operands: Callable[[tuple[int, ...], tuple[int, int], Geometry], tuple[Any, ...]]
    reference: Callable[..., Tensor]
    kernel: Callable[..., Tensor]
    exact: bool = True


def floats(image: tuple[int, ...], taps: tuple[int, int], geometry: Geometry) -> tuple[Any, ...]:
    x = torch.randn(image)
    x[..., 0], x[..., -1] = 0.0, -0.0
    return x, torch.randn(image[1], 1, *taps), geometry


def shifted(image: tuple[int, ...], taps: tuple[int, int], geometry: Geometry) -> tuple[Any, ...]:
    power = torch.ldexp(torch.randn(image[1], 1, *taps).sign(), torch.randint(-5, 6, (image[1], 1, *taps)))
    return torch.randn(image), power, geometry


def packed(image: tuple[int, ...], taps: tuple[int, int], geometry: Geometry) -> tuple[Any, ...]:
    x, w, _ = floats(image, taps, geometry)
    factors = signs.pack_factors(torch.rand(image[1]), torch.randn(image[1]), image[1])
    return x, signs.pack_filters(w, image[1]), factors, tuple(w.shape), geometry


KINDS = {
    "adder": Kind(floats, reference.adder_forward, dispatch.adder_forward, exact=False),
    "mac": Kind(floats, reference.mac_forward, lambda *a: dense.convolve("mac", *a), exact=False),
    "shift": Kind(shifted, reference.shift_forward, dispatch.shift_forward, exact=False),
    "u8": Kind(
        lambda image, taps, g: (codes(*image), codes(image[1], 1, *taps), g),
        reference.adder_u8_forward,
        dispatch.adder_u8_forward,
    ),
    "quantized": Kind(
        lambda image, taps, g: (
            *(torch.randn(image), codes(image[1], 1, *taps), torch.tensor(0.017), torch.randn(image[1])),
            *(77, g),
        ),
        reference.adder_quantized_forward,
        dispatch.adder_quantized_forward,
    ),
    "binary": Kind(
        lambda *a: (*floats(*a), torch.rand(a[0][1])), reference.binary_forward, dispatch.binary_forward
    ),
    "packed": Kind(packed, reference.binary_packed_forward, dispatch.binary_packed_forward),
}


ALL_KINDS = cases(**KINDS)
# One with floats, one with bytes and one with words.
SOME_KINDS = all_but(("adder", "u8", "packed"), ALL_KINDS)
GRADIENTS = cases(full="full", sign="sign")
NO_NUMBERS = cases(nan=float("nan"), infinity=float("inf"), minus_infinity=-float("inf"))


@pytest.fixture(autouse=True)
def insisted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    torch.manual_seed(0)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The site of each call of the loop."""
    sites: list[str] = []
    one = depthwise._run

    def recorded(site: str, *rest: Any, **named: Any) -> bool:
        sites.append(site)
        return one(site, *rest, **named)

    monkeypatch.setattr(depthwise, "_run", recorded)
    return sites


def check(
    kind: Kind, image: tuple[int, ...], taps: tuple[int, int], geometry: Geometry, layout: torch.memory_format
) -> None:
    x, *rest = kind.operands(image, taps, geometry)
    x = x.contiguous(memory_format=layout)
    expected, out = kind.reference(x, *rest), kind.kernel(x, *rest)
    assert out.stride() == expected.stride()
    assert out.dtype == expected.dtype
    if kind.exact:
        assert torch.equal(out, expected)
    else:
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)


SHAPES = [
    pytest.param((1, 24, 14, 14), (3, 3), (1, 1), (1, 1), (1, 1), id="same"),
    pytest.param((3, 35, 9, 33), (3, 3), (2, 2), (1, 1), (1, 1), id="stride-2"),
    pytest.param((2, 17, 11, 20), (3, 3), (3, 3), (1, 0), (1, 1), id="stride-3"),
    pytest.param((1, 70, 12, 19), (5, 5), (1, 1), (2, 2), (1, 1), id="5x5"),
    pytest.param((2, 6, 15, 40), (5, 5), (2, 2), (2, 2), (1, 1), id="5x5-stride-2"),
    pytest.param((1, 33, 6, 18), (1, 3), (1, 1), (0, 1), (1, 1), id="1x3"),
    pytest.param((2, 5, 10, 17), (3, 1), (2, 1), (1, 0), (1, 1), id="3x1"),
    pytest.param((2, 9, 4, 21), (1, 1), (1, 2), (0, 0), (1, 1), id="1x1-stride-2"),
    pytest.param((1, 20, 13, 16), (3, 3), (1, 1), (2, 2), (2, 2), id="dilation"),
    pytest.param((1, 12, 16, 37), (3, 4), (2, 2), (3, 5), (2, 3), id="dilation-3-stride-2"),
    pytest.param((1, 8, 5, 4), (3, 3), (1, 1), (7, 9), (1, 1), id="padding-beyond-the-filter"),
    pytest.param((1, 8, 30, 31), (13, 14), (1, 1), (6, 6), (1, 1), id="rows-of-taps-in-turn"),
    pytest.param((2, 3, 1, 50), (1, 5), (1, 1), (0, 2), (1, 1), id="one-row"),
    pytest.param((2, 18, 50, 1), (5, 1), (1, 1), (2, 0), (1, 1), id="one-column"),
    pytest.param((2, 1, 9, 9), (3, 3), (1, 1), (1, 1), (1, 1), id="one-channel"),
]
FAST = ("stride-2", "one-column")


@pytest.mark.parametrize(
    ("image", "taps", "stride", "padding", "dilation", "kind", "layout"),
    all_crossed(all_but(FAST, SHAPES), ALL_KINDS, LAYOUTS),
)
def test_every_arithmetic_is_the_references(
    image, taps, stride, padding, dilation, kind, layout, ran
) -> None:  # type: ignore[no-untyped-def]
    check(kind, image, taps, Geometry(stride, padding, dilation, image[1]), layout)
    assert len(ran) == 1


@pytest.mark.parametrize(
    ("image", "taps", "stride", "padding", "dilation", "gradient", "layout"),
    all_crossed(all_but(FAST, SHAPES), GRADIENTS, LAYOUTS),
)
def test_input_gradients_are_the_references(
    image, taps, stride, padding, dilation, gradient, layout, ran
) -> None:  # type: ignore[no-untyped-def]
    geometry = Geometry(stride, padding, dilation, image[1])
    # Few values: some inputs equal a weight, others are far from it.
    x, w = torch.randn(image).mul(2).round() / 2, torch.randn(image[1], 1, *taps).mul(2).round() / 2
    x = x.contiguous(memory_format=layout)
    g = torch.randn_like(reference.adder_forward(x, w, geometry))
    expected = reference.adder_input_gradient(g, x, w, geometry, gradient)
    out = dispatch.adder_input_gradient(g, x, w, geometry, gradient)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)
    assert out.stride() == expected.stride()
    # One for each phase of the stride that has pixels and taps.
    site = "adder_gradient" if gradient == "full" else "adder_gradient_sign"
    assert ran
    assert set(ran) == {site}
    assert len(ran) <= stride[0] * stride[1]


@pytest.mark.parametrize(
    ("kind", "layout"), all_crossed(cases(adder=KINDS["adder"], u8=KINDS["u8"]), LAYOUTS)
)
@pytest.mark.parametrize(
    "channels", [2, 17, 33, *exhaustive(1, 3, 4, 7, 8, 15, 16, 31, 32, 47, 63, 64, 65, 70)]
)
def test_any_number_of_channels(channels: int, kind: Kind, layout: torch.memory_format) -> None:
    check(kind, (2, channels, 5, 6), (3, 3), Geometry((1, 1), (1, 1), groups=channels), layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", cases(adder=KINDS["adder"], quantized=KINDS["quantized"]))
@pytest.mark.exhaustive
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_any_width_and_height(stride: int, kind: Kind, layout: torch.memory_format) -> None:
    geometry = Geometry((stride, stride), (1, 1), groups=5)
    for size in (*range(1, 20), 31, 32, 33, 40):
        check(kind, (1, 5, 41 - size, size), (3, 3), geometry, layout)


@pytest.mark.parametrize("kind", SOME_KINDS)
def test_both_layouts_give_the_same_bits(kind: Kind) -> None:
    x, *rest = kind.operands((2, 21, 10, 19), (3, 3), Geometry((1, 1), (1, 1), groups=21))
    out = kind.kernel(x, *rest)
    assert torch.equal(kind.kernel(x.contiguous(memory_format=torch.channels_last), *rest), out)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rows", [257, 258])
def test_sums_of_bytes_reach_their_largest(rows: int, layout: torch.memory_format) -> None:
    # 257 differences of 255 are 65535, the largest that 16 bits hold.
    x = torch.zeros(1, 4, rows + 1, 3, dtype=torch.uint8).contiguous(memory_format=layout)
    w = torch.full((4, 1, rows, 1), 255, dtype=torch.uint8)
    out = dispatch.adder_u8_forward(x, w, Geometry(groups=4))
    assert out.shape == (1, 4, 2, 3)
    assert (out == -255 * rows).all()


@pytest.mark.parametrize(
    ("image", "kind", "layout"),
    all_crossed(cases(images=(4, 6, 5, 7), rows_or_channels=(1, 19, 12, 20)), SOME_KINDS, LAYOUTS),
)
def test_several_threads_give_the_bits_of_one(image, kind, layout, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    x, *rest = kind.operands(image, (3, 3), Geometry((1, 1), (1, 1), groups=image[1]))
    x = x.contiguous(memory_format=layout)
    one = kind.kernel(x, *rest)
    parts: list[int] = []
    run_shares = depthwise.run_shares
    monkeypatch.setattr(depthwise, "run_shares", lambda c, *a: (parts.append(len(c)), run_shares(c, *a))[1])
    monkeypatch.setattr(shares, "LEAST_ELEMENTS", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    depthwise._plan.cache_clear()
    try:
        many = kind.kernel(x, *rest)
    finally:
        torch.set_num_threads(before)
        depthwise._plan.cache_clear()
    assert parts == [3]
    assert torch.equal(many, one)


VIEWS = {
    "every-second-column": lambda t: t[..., ::2],
    "transposed": lambda t: t.transpose(2, 3),
    "channels-last-transposed": lambda t: t.contiguous(memory_format=torch.channels_last).transpose(2, 3),
    "every-second-channel": lambda t: t[:, ::2],
    "channels-last-every-second-channel": lambda t: t.contiguous(memory_format=torch.channels_last)[:, ::2],
    "channels-last-offset": lambda t: t.contiguous(memory_format=torch.channels_last)[1:, 3:, 2:, 1:-1],
    "expanded-batch": lambda t: t[:1].expand(3, -1, -1, -1),
    "expanded-channels": lambda t: t[:, :1].expand(-1, 4, -1, -1),
    "expanded-column": lambda t: t[..., :1].expand(-1, -1, -1, 20),
    "overlapping-windows": lambda t: t[0, 0].unfold(1, 6, 1).unfold(0, 4, 1).permute(0, 1, 3, 2)[:, :4],
    "flipped": lambda t: t.flip(3),
    "offset": lambda t: t[1:, :, 2:, 1:],
    "one-column": lambda t: t[..., 3:4],
}


@pytest.mark.parametrize(
    ("view", "kind"), all_crossed(cases(**VIEWS), cases(adder="adder", u8="u8", binary="binary"))
)
def test_views_give_the_answer_of_their_copies(view, kind: str) -> None:  # type: ignore[no-untyped-def]
    x = view(torch.randn(2, 12, 10, 22) if kind != "u8" else codes(2, 12, 10, 22))
    c = x.shape[1]
    w = torch.randn(c, 1, 3, 3) if kind != "u8" else codes(c, 1, 3, 3)
    w, geometry = w.transpose(2, 3), Geometry(padding=(1, 1), groups=c)
    out = KINDS[kind].kernel(x, w, geometry)
    expected = KINDS[kind].reference(x.clone(memory_format=torch.contiguous_format), w, geometry)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("stride", "layout"), all_crossed(numbers(1, 2, 3), LAYOUTS))
@pytest.mark.parametrize("width", [3, 16, 21])
def test_nothing_beyond_the_image_is_used(stride: int, width: int, layout: torch.memory_format) -> None:
    memory = torch.full((3, 20, 9, 40), float("nan")).contiguous(memory_format=layout)
    x = memory[1:2, 2:19, 2:8, 4 : 4 + width]
    x.copy_(torch.randn(x.shape))
    w, geometry = torch.randn(17, 1, 3, 3), Geometry((stride, stride), (1, 1), groups=17)
    expected = reference.adder_forward(x, w, geometry)
    torch.testing.assert_close(dispatch.adder_forward(x, w, geometry), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "value", "layout"),
    all_crossed(cases(adder="adder", mac="mac", binary="binary"), NO_NUMBERS, LAYOUTS),
)
def test_nan_and_infinity_propagate(
    kind: str, value: float, layout: torch.memory_format, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    # A NaN has no sign: the binary kernel leaves it to the reference, if that is allowed.
    monkeypatch.delenv(dispatch.VARIABLE)
    x, w = torch.randn(1, 20, 6, 18).contiguous(memory_format=layout), torch.randn(20, 1, 3, 3)
    # Torch's convolution has no product of a padded tap, which an infinite weight makes a NaN.
    geometry = Geometry(padding=(0, 0) if kind == "mac" else (1, 1), groups=20)
    for poisoned, place in ((x, (0, 7, 3, 17)), (w, (3, 0, 1, 2))):
        kept = poisoned[place].item()
        poisoned[place] = value
        expected = KINDS[kind].reference(x, w, geometry)
        out = KINDS[kind].kernel(x, w, geometry)
        torch.testing.assert_close(out, expected, equal_nan=True, rtol=1e-5, atol=1e-4)
        poisoned[place] = kept


@pytest.mark.parametrize(
    ("where", "gradient", "value", "layout"),
    all_crossed(cases(grad="grad", input="input", weight="weight"), GRADIENTS, NO_NUMBERS, LAYOUTS),
)
def test_gradients_of_nan_and_infinity_are_the_references(
    where: str, gradient: str, value: float, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(dispatch.VARIABLE)
    # Halves, so that some inputs equal a weight: a slope of zero times infinity is NaN.
    x, w = (torch.randn(s).mul(2).round() / 2 for s in ((1, 18, 6, 9), (18, 1, 3, 3)))
    geometry = Geometry(padding=(1, 1), groups=18)
    g = torch.randn(1, 18, 6, 9)
    {"grad": g, "input": x, "weight": w}[where].view(18, -1)[5, 4] = value
    x, g = (t.contiguous(memory_format=layout) for t in (x, g))
    expected = reference.adder_input_gradient(g, x, w, geometry, gradient)
    out = dispatch.adder_input_gradient(g, x, w, geometry, gradient)
    torch.testing.assert_close(out, expected, equal_nan=True, rtol=1e-5, atol=1e-4)


def test_infinities_of_both_signs_are_no_nan(ran: list[str]) -> None:
    x, w = torch.randn(1, 4, 5, 5), torch.randn(4, 1, 3, 3)
    x[0, 0, 0, 0], x[0, 1, 1, 1], w[0, 0, 0, 0], w[1, 0, 0, 0] = (float(t) for t in ("inf", "-inf") * 2)
    geometry = Geometry(groups=4)
    assert torch.equal(dispatch.binary_forward(x, w, geometry), reference.binary_forward(x, w, geometry))
    assert ran == ["binary"]


@pytest.mark.exhaustive
def test_wide_filters_are_left_to_the_general_kernel(ran: list[str]) -> None:
    check(KINDS["adder"], (1, 4, 3, 50), (1, 33), Geometry(groups=4), torch.channels_last)
    assert ran == []


@pytest.mark.exhaustive
def test_several_filters_a_channel_are_left_to_the_general_kernel(ran: list[str]) -> None:
    x, w, geometry = torch.randn(1, 4, 6, 6), torch.randn(8, 1, 3, 3), Geometry(groups=4)
    expected = reference.adder_forward(x, w, geometry)
    torch.testing.assert_close(dispatch.adder_forward(x, w, geometry), expected, rtol=1e-5, atol=1e-4)
    assert ran == []


@pytest.fixture(params=[16, *exhaustive(32)], ids=["sse2", "avx2"])
def older_processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Code for a processor without AVX-512, which this one runs as well."""
    if platform.machine() != "x86_64":
        pytest.skip("names x86-64 processors")
    name = {16: "x86-64", 32: "haswell"}[request.param]
    monkeypatch.setattr(native.llvm, "get_host_cpu_name", lambda: name)
    monkeypatch.setattr(native.llvm, "get_host_cpu_features", lambda: native.llvm.FeatureMap())
    monkeypatch.setattr(depthwise, "vector_bytes", lambda: request.param)
    caches = depthwise._plan, depthwise.across_channels, depthwise.along_rows
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.exhaustive
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stride", [1, 2])
def test_older_processors_have_the_same_gradient(stride: int, layout, older_processor) -> None:  # type: ignore[no-untyped-def]
    x, w = torch.randn(1, 19, 8, 21).contiguous(memory_format=layout), torch.randn(19, 1, 3, 3)
    geometry = Geometry((stride, stride), (1, 1), groups=19)
    g = torch.randn_like(reference.adder_forward(x, w, geometry))
    expected = reference.adder_input_gradient(g, x, w, geometry, "full")
    out = dispatch.adder_input_gradient(g, x, w, geometry, "full")
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("kind", "layout"), all_crossed(all_but(("adder",), ALL_KINDS), LAYOUTS))
@pytest.mark.parametrize("stride", [2, *exhaustive(1, 3)])
def test_older_processors_compute_the_same(stride: int, kind: Kind, layout, older_processor) -> None:  # type: ignore[no-untyped-def]
    check(kind, (1, 19, 8, 21), (3, 3), Geometry((stride, stride), (1, 1), groups=19), layout)
