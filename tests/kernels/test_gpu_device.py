"""The Triton kernels on a real GPU, against the reference on the same device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from addercost.kernels import dispatch, precision, reference
from addercost.kernels.problem import Geometry, rows_as_image
from addercost.kernels.signs import pack_factors, pack_filters
from tests.kernels.geometries import GEOMETRIES

pytestmark = pytest.mark.gpu
pytest.importorskip("triton", reason="the GPU kernels need triton")
if not torch.cuda.is_available():
    # Six hundred cases are not made only to be skipped.
    pytest.skip("no CUDA device", allow_module_level=True)

HALVES_AND_FLOAT = pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
GRADIENTS = pytest.mark.parametrize("gradient", ["full", "sign"])

LARGER = [
    pytest.param((2, 64, 56, 56), (64, 3, 3), Geometry(padding=(1, 1)), id="resnet18-64"),
    pytest.param((3, 64, 55, 57), (128, 3, 3), Geometry((2, 2), (1, 1)), id="resnet18-stride-2"),
    pytest.param((2, 256, 14, 14), (512, 1, 1), Geometry((2, 2)), id="resnet50-1x1-stride-2"),
    pytest.param((5, 16, 32, 32), (16, 3, 3), Geometry(padding=(1, 1)), id="resnet20-16"),
    pytest.param((2, 96, 9, 9), (96, 3, 3), Geometry(padding=(1, 1), groups=4), id="groups-of-24"),
    pytest.param((1, 40, 20, 20), (72, 3, 3), Geometry((1, 1), (2, 2), (2, 2)), id="dilation-40"),
]


@pytest.fixture(autouse=True)
def _forced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(dispatch.VARIABLE, "triton")
    torch.manual_seed(0)
    dispatch.runs.clear()
    # The reference multiplies in fp32 too: TF32 would be the larger error of the two.
    switches = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [switch.allow_tf32 for switch in switches]
    for switch in switches:
        switch.allow_tf32 = False
    yield
    for switch, value in zip(switches, before, strict=True):
        switch.allow_tf32 = value


def operands(image: Any, filters: Any, geometry: Geometry, dtype: torch.dtype, layout: Any) -> Any:
    k, r, s = filters
    x = torch.randn(image, device="cuda").to(dtype).contiguous(memory_format=layout)
    return x, torch.randn(k, image[1] // geometry.groups, r, s, device="cuda").to(dtype)


def close(ours: torch.Tensor, exact: torch.Tensor, dtype: torch.dtype) -> None:
    """Within the output's rounding and what a sum of a few thousand numbers of size 1 loses in fp32."""
    atol = 2e-3 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(ours.double(), exact, rtol=2 * torch.finfo(dtype).eps + 1e-5, atol=atol)


@HALVES_AND_FLOAT
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
@pytest.mark.parametrize(("image", "filters", "geometry"), GEOMETRIES + LARGER)
def test_forward(image: Any, filters: Any, geometry: Geometry, layout: Any, dtype: torch.dtype) -> None:
    x, w = operands(image, filters, geometry, dtype, layout)
    for operation in ("adder_forward", "shift_forward"):
        exact = getattr(reference, operation)(x.double(), w.double(), geometry)
        close(getattr(dispatch, operation)(x, w, geometry), exact, dtype)
        assert dispatch.runs[operation, "triton"] == 1


@HALVES_AND_FLOAT
@GRADIENTS
@pytest.mark.parametrize(("image", "filters", "geometry"), GEOMETRIES + LARGER)
def test_gradients(image: Any, filters: Any, geometry: Geometry, gradient: str, dtype: torch.dtype) -> None:
    x, w = operands(image, filters, geometry, dtype, torch.channels_last)
    p, q = geometry.output_size(tuple(x.shape[2:]), tuple(w.shape[2:]))
    g = torch.randn(x.shape[0], w.shape[0], p, q, device="cuda").to(dtype)
    wide = (g.double(), x.double(), w.double())
    for operation in ("adder_input_gradient", "adder_weight_gradient"):
        exact = getattr(reference, operation)(*wide, geometry, gradient)
        ours = getattr(dispatch, operation)(g, x, w, geometry, gradient)
        close(ours, exact, dtype)
        assert dispatch.runs[operation, "triton"] == 1


@pytest.mark.parametrize(("image", "filters", "geometry"), GEOMETRIES + LARGER)
def test_bytes_and_signs_are_exact(image: Any, filters: Any, geometry: Geometry) -> None:
    x, w = operands(image, filters, geometry, torch.float32, torch.contiguous_format)
    exact = reference.binary_forward(x.double(), w.double(), geometry)
    assert torch.equal(dispatch.binary_forward(x, w, geometry).double(), exact)
    words, factors = (
        pack_filters(w, geometry.groups),
        pack_factors(torch.rand(len(w)).cuda(), None, geometry.groups),
    )
    arguments = (words, factors, tuple(w.shape), geometry)
    packed = dispatch.binary_packed_forward(x, *arguments)
    # In fp64: cuDNN may take an fp32 convolution for one of Winograd's, whose sums are no whole numbers.
    wide = reference.binary_packed_forward(x.double(), words, factors.double(), *arguments[2:])
    torch.testing.assert_close(packed.double(), wide, rtol=1e-6, atol=1e-6)
    x, w = (t.mul(60).add(128).clamp(0, 255).byte() for t in (x, w))
    assert torch.equal(dispatch.adder_u8_forward(x, w, geometry), reference.adder_u8_forward(x, w, geometry))
    operations = ("binary_forward", "binary_packed_forward", "adder_u8_forward")
    assert set(dispatch.runs) == {(name, "triton") for name in operations}


@pytest.mark.parametrize(("image", "filters", "geometry"), GEOMETRIES + LARGER)
def test_signs_packed_beforehand(image: Any, filters: Any, geometry: Geometry) -> None:
    x, w = operands(image, filters, geometry, torch.float32, torch.contiguous_format)
    factors = pack_factors(torch.rand(w.shape[0], device="cuda"), None, geometry.groups)
    words, shape = pack_filters(w, geometry.groups), (w.shape[0], w.shape[1], w.shape[2], w.shape[3])
    ours = dispatch.binary_packed_forward(x, words, factors, shape, geometry)
    exact = reference.binary_packed_forward(x.double(), words, factors.double(), shape, geometry)
    torch.testing.assert_close(ours.double(), exact, rtol=1e-6, atol=1e-6)
    assert dispatch.runs["binary_packed_forward", "triton"] == 1


@pytest.mark.parametrize(
    ("image", "filters", "geometry"), [g for g in GEOMETRIES + LARGER if g.values[0][1] % 2 == 0]
)
def test_runs_of_halves_where_they_are_allowed(
    image: Any, filters: Any, geometry: Geometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, w = operands(image, filters, geometry, torch.float16, torch.channels_last)
    exact = reference.adder_forward(x.double(), w.double(), geometry)
    plain = dispatch.adder_forward(x, w, geometry).double()
    monkeypatch.setattr(precision, "allow_half_runs", True)
    ours = dispatch.adder_forward(x, w, geometry).double()
    assert float(((ours - exact) / exact).abs().max()) <= (8 + 1) * 2.0**-11
    assert float(((plain - exact) / exact).abs().max()) <= 2.0**-10


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("channels", [3, 8], ids=["loaded-singly", "loaded-wide"])
def test_nan_and_infinity_propagate(value: float, channels: int) -> None:
    x, w = torch.randn(1, channels, 5, 5, device="cuda"), torch.randn(4, channels, 3, 3, device="cuda")
    x[0, 1, 2, 2] = value
    exact = reference.adder_forward(x.double(), w.double(), Geometry())
    torch.testing.assert_close(
        dispatch.adder_forward(x, w, Geometry()).double(), exact, equal_nan=True, rtol=1e-5, atol=1e-4
    )
    g = torch.ones_like(exact).float()
    exact = reference.adder_input_gradient(g.double(), x.double(), w.double(), Geometry(), "full")
    ours = dispatch.adder_input_gradient(g, x, w, Geometry(), "full").double()
    torch.testing.assert_close(ours, exact, equal_nan=True, rtol=1e-5, atol=1e-4)


def test_rows_beyond_31_bits_are_met_where_they_lie() -> None:
    """A linear layer's rows are the pixels of one image: here of more than 2³¹ elements."""
    many, channels = (1 << 19) + 3, 4096
    if torch.cuda.mem_get_info()[0] < 16 << 30:
        pytest.skip("takes 5 GiB of the GPU's memory and three times that to be safe")
    x = torch.empty(many, channels, dtype=torch.float16, device="cuda").normal_()
    w = torch.randn(20, channels, device="cuda").half()[:, :, None, None]
    whole = dispatch.adder_forward(rows_as_image(x), w, Geometry())
    end = dispatch.adder_forward(rows_as_image(x[-64:].clone()), w, Geometry())
    torch.testing.assert_close(whole[..., -64:], end, rtol=1e-3, atol=0)


def test_every_tile() -> None:
    from addercost.kernels.gpu import launch
    from addercost.kernels.gpu.tiles import SUM_TILES

    x, w = operands((3, 40, 9, 7), (70, 3, 3), Geometry(), torch.float32, torch.channels_last)
    exact = reference.adder_forward(x.double(), w.double(), Geometry())
    for tile in SUM_TILES:
        for layout in (torch.contiguous_format, torch.channels_last):
            out = torch.empty(exact.shape, device="cuda", memory_format=layout)
            launch.convolve("adder", x, w, Geometry(), out, tile=tile)
            close(out, exact, torch.float32)


def test_a_training_step_matches_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    from addercost.layers import AdderConv2d

    monkeypatch.delenv(dispatch.VARIABLE)
    layer = AdderConv2d(16, 24, 3, stride=2, padding=1, bias=True).cuda()
    x = torch.randn(4, 16, 15, 15, device="cuda", requires_grad=True)
    results = []
    for kernel in ("", "reference"):
        monkeypatch.setenv(dispatch.VARIABLE, kernel)
        layer.zero_grad()
        x.grad = None
        out = layer(x)
        out.square().mean().backward()
        results.append([t.detach().clone() for t in (out, x.grad, layer.weight.grad, layer.bias.grad)])
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-3)
    assert dispatch.runs["adder_forward", "triton"] == dispatch.runs["adder_input_gradient", "triton"] == 1
