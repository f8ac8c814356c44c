"""The Halide kernels against the reference."""

from __future__ import annotations

import pytest
import torch

from addercost.kernels import dispatch, reference, signs
from addercost.kernels.problem import Geometry
from tests.kernels.geometries import FAST, GEOMETRIES, all_but, all_crossed, cases, exhaustive, in_turns
from tests.kernels.operands import operands

pytest.importorskip("halide", reason="the CPU kernels need halide")
dense = pytest.importorskip("addercost.kernels.cpu.dense.convolution")
cpu_binary = pytest.importorskip("addercost.kernels.cpu.binary.convolution")
vector_bytes = pytest.importorskip("addercost.kernels.cpu.processor").vector_bytes
u8 = pytest.importorskip("addercost.kernels.cpu.u8.convolution")
pack_signs = pytest.importorskip("addercost.kernels.cpu.binary.packing").pack_signs

EXHAUSTIVE = pytest.mark.exhaustive
LAYOUTS = [torch.contiguous_format, torch.channels_last]
LAYOUT_IDS = ["nchw", "nhwc"]
ONE_OF_A_KIND = [
    name for name in FAST if name not in ("1x1-stride-2", "planes-of-whole-vectors", "joined-rows-of-4")
]


@pytest.mark.parametrize(
    ("image", "filters", "geometry", "layout"),
    [
        *in_turns(all_but(ONE_OF_A_KIND), nchw=LAYOUTS[0], nhwc=LAYOUTS[1]),
        *in_turns(all_but(("planes-of-whole-vectors",)), nhwc=LAYOUTS[1], nchw=LAYOUTS[0]),
    ],
)
def test_adder_forward_is_the_references(image, filters, geometry, layout) -> None:  # type: ignore[no-untyped-def]
    x, w = operands(image, filters, geometry, layout)
    expected = reference.adder_forward(x, w, geometry)
    out = dense.convolve("adder", x, w, geometry)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)
    assert out.stride() == expected.stride()


# The other arithmetics and the gradients share algorithm and schedule: for them the two layouts take turns,
# so that each class is compiled once. `make test` compiles one shape.
ONE = in_turns(all_but(("stride-and-dilation",)), nchw=LAYOUTS[0], nhwc=LAYOUTS[1])


@pytest.mark.parametrize(("image", "filters", "geometry", "layout"), ONE)
def test_mac_forward_is_the_references(image, filters, geometry, layout) -> None:  # type: ignore[no-untyped-def]
    x, w = operands(image, filters, geometry, layout)
    expected = reference.mac_forward(x, w, geometry)
    torch.testing.assert_close(dense.convolve("mac", x, w, geometry), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("image", "filters", "geometry", "layout", "scale"), all_crossed(ONE, cases(near=1.0, far=100.0))
)
def test_input_gradient_is_the_references(image, filters, geometry, layout, scale, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    x, w = (t * scale for t in operands(image, filters, geometry, layout))
    g = torch.randn_like(reference.mac_forward(x, w, geometry))
    expected = reference.adder_input_gradient(g, x, w, geometry, "full")
    out = dispatch.adder_input_gradient(g, x, w, geometry, "full")
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)
    assert out.stride() == expected.stride()


# A gradient takes two or three kernels.
@pytest.mark.parametrize(
    ("image", "filters", "geometry", "layout"),
    in_turns(all_but(("groups",)), nchw=LAYOUTS[0], nhwc=LAYOUTS[1]),
)
def test_sign_gradients_are_the_references(image, filters, geometry, layout, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    # Few values, so that many inputs equal a weight and the sign is 0.
    x, w = (t.round() for t in operands(image, filters, geometry, layout))
    g = torch.randn_like(reference.mac_forward(x, w, geometry))
    for gradient in (dispatch.adder_input_gradient, dispatch.adder_weight_gradient):
        expected = getattr(reference, gradient.__name__)(g, x, w, geometry, "sign")
        torch.testing.assert_close(gradient(g, x, w, geometry, "sign"), expected, rtol=1e-5, atol=1e-4)


# In `make test`, test_cpu_bytes and test_cpu_words have these.
@pytest.mark.exhaustive
@pytest.mark.parametrize(("image", "filters", "geometry", "layout"), ONE)
def test_u8_adder_is_exact(image, filters, geometry, layout) -> None:  # type: ignore[no-untyped-def]
    x, w = (t.mul(60).add(128).clamp(0, 255).byte() for t in operands(image, filters, geometry, layout))
    expected = reference.adder_forward(x.double(), w.double(), geometry)
    out = u8.convolve(x, w, geometry)
    assert out.dtype == torch.int32
    assert torch.equal(out.double(), expected)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("image", "filters", "geometry", "layout"), ONE)
def test_binary_is_the_references(image, filters, geometry, layout, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    x, w = operands(image, filters, geometry, layout)
    x[..., 0], x[..., -1] = 0.0, -0.0
    expected = reference.binary_forward(x, w, geometry)
    out = dispatch.binary_forward(x, w, geometry)
    assert torch.equal(out, expected)
    assert out.stride() == expected.stride()


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("image", "filters", "geometry", "layout"),
    all_crossed(GEOMETRIES, cases(nchw=torch.contiguous_format, nhwc=torch.channels_last)),
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


@pytest.mark.parametrize("layout", all_but(("nhwc",), cases(nchw=LAYOUTS[0], nhwc=LAYOUTS[1])))
def test_nan_is_found_wherever_it_is_and_infinity_has_a_sign(layout: torch.memory_format) -> None:
    for at in ((0, 0, 0, 0), (1, 36, 2, 18), (0, 33, 1, 16)):
        x = torch.randn(2, 37, 3, 19).contiguous(memory_format=layout)
        x[at] = float("nan")
        assert pack_signs(x, 1) is None
    # The kernel of the next test.
    x, w = operands((2, 33, 5, 5), (9, 3, 3), Geometry(), layout)
    x[1, 32, 2, 4] = -float("inf")
    assert torch.equal(dispatch.binary_forward(x, w, Geometry()), reference.binary_forward(x, w, Geometry()))


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_IDS)
@pytest.mark.parametrize("channels", [31, 32, 33, 64, 100])
def test_binary_at_and_around_whole_words(channels: int, layout: torch.memory_format) -> None:
    x, w = operands((2, channels, 5, 5), (9, 3, 3), Geometry(), layout)
    out = dispatch.binary_forward(x, w, Geometry())
    assert torch.equal(out, reference.binary_forward(x, w, Geometry()))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_result_does_not_depend_on_the_threads(threads: int) -> None:
    before = torch.get_num_threads()
    # The kernel of "33-filters".
    image, filters, geometry = (3, 8, 14, 14), (33, 3, 3), Geometry(padding=(1, 1))
    x, w = operands(image, filters, geometry, torch.contiguous_format)
    try:
        torch.set_num_threads(threads)
        many, one = dense.convolve("adder", x, w, geometry), dense.convolve("adder", x[:1], w, geometry)
    finally:
        torch.set_num_threads(before)
    expected = reference.adder_forward(x, w, geometry)
    torch.testing.assert_close(many, expected, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(one, expected[:1], rtol=1e-5, atol=1e-4)


@pytest.mark.exhaustive
@pytest.mark.parametrize("batch", [1, 5, 64])
def test_sign_gradient_of_a_linear_layer(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    x, w = torch.randn(batch, 40, 1, 1).round(), torch.randn(33, 40, 1, 1).round()
    g = torch.randn(batch, 33, 1, 1)
    expected = torch.einsum("nk,nkc->kc", g[..., 0, 0], torch.sign(x[:, None, :, 0, 0] - w[None, ..., 0, 0]))
    ours = dispatch.adder_weight_gradient(g, x, w, Geometry(), "sign")
    torch.testing.assert_close(ours[..., 0, 0], expected, rtol=1e-5, atol=1e-4)


def test_the_sign_gradient_of_a_batch_is_computed_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip("addercost.kernels.cpu.dense.weight_gradient")
    # The kernel of "groups".
    x, w = torch.randn(7, 4, 5, 5).contiguous(memory_format=torch.channels_last), torch.randn(6, 2, 3, 3)
    geometry = Geometry(padding=(1, 1), groups=2)
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


@pytest.mark.parametrize("view", all_but(("offset",), cases(**VIEWS)))
@pytest.mark.parametrize("filter_size", [3, *exhaustive(1)])
def test_views_give_the_answer_of_their_copies(view, filter_size: int) -> None:  # type: ignore[no-untyped-def]
    # With the offset, the kernel of "33-filters".
    x, geometry = view(torch.randn(2, 8, 16, 15)), Geometry(padding=(1, 1))
    w = torch.randn(33, x.shape[1], 3, 3).transpose(2, 3)[:, :, :filter_size, :filter_size]
    out = dense.convolve("adder", x, w, geometry)
    expected = reference.adder_forward(x.clone(), w.clone(), geometry)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("value", [float("nan"), *exhaustive(float("inf"), -float("inf"))])
def test_nan_and_infinity_propagate(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    # The kernel of "33-filters".
    x, w, geometry = torch.randn(1, 8, 14, 14), torch.randn(33, 8, 3, 3), Geometry(padding=(1, 1))
    for poisoned in (x, w):
        kept = poisoned[0, 1, 1, 1].item()
        poisoned[0, 1, 1, 1] = value
        expected = reference.adder_forward(x, w, geometry)
        torch.testing.assert_close(
            dispatch.adder_forward(x, w, geometry), expected, equal_nan=True, rtol=1e-5, atol=1e-4
        )
        monkeypatch.delenv(dispatch.VARIABLE, raising=False)
        g = torch.ones_like(expected)
        expected = reference.adder_input_gradient(g, x, w, geometry, "full")
        torch.testing.assert_close(
            dispatch.adder_input_gradient(g, x, w, geometry, "full"), expected, equal_nan=True
        )
        expected = reference.adder_weight_gradient(g, x, w, geometry, "sign")
        torch.testing.assert_close(
            dispatch.adder_weight_gradient(g, x, w, geometry, "sign"), expected, equal_nan=True
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
