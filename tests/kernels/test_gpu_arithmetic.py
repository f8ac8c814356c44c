"""The Triton kernels' arithmetic and addressing, run by Triton's interpreter, against the reference.

PTX (wide loads, bytes, bits, pairs of halves) is spelled out there, with the same roundings;
`test_gpu_instructions` looks at the real instructions and at who holds what.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from addercost.kernels import reference
from addercost.kernels.problem import Geometry, empty_output
from addercost.kernels.signs import pack_filters, words_by_filter
from tests.kernels.geometries import GEOMETRIES, all_but, all_crossed, cases, exhaustive

pytest.importorskip("triton", reason="the GPU kernels need triton")

PACKAGE = "addercost.kernels.gpu"
FAST = ("stride-and-dilation", "groups", "1x1-stride-2")
INTERPRETED = all_but(FAST)
# What differs from the plain forward in its site alone.
ONE = all_but(("groups",))


@pytest.fixture(scope="module")
def launch() -> Iterator[Any]:
    """`addercost.kernels.gpu.launch`, its kernels decorated for the interpreter."""
    patch = pytest.MonkeyPatch()
    patch.setenv("TRITON_INTERPRET", "1")
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(PACKAGE)}
    yield importlib.import_module(f"{PACKAGE}.launch")
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]
    sys.modules.update(kept)
    patch.undo()


def operands(image: Any, filters: Any, geometry: Geometry) -> tuple[Tensor, Tensor]:
    k, r, s = filters
    return torch.randn(image), torch.randn(k, image[1] // geometry.groups, r, s)


def output_for(expected: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.full_like(expected, 99, dtype=dtype)


@pytest.mark.parametrize(("image", "filters", "geometry"), INTERPRETED)
def test_adder_forward(launch: Any, image: Any, filters: Any, geometry: Geometry) -> None:
    x, w = operands(image, filters, geometry)
    expected = reference.adder_forward(x, w, geometry)
    out = launch.convolve("adder", x, w, geometry, output_for(expected, torch.float32), emulate=True)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("image", "filters", "geometry", "gradient"), all_crossed(INTERPRETED, cases(full="full", sign="sign"))
)
def test_input_gradient(launch: Any, image: Any, filters: Any, geometry: Geometry, gradient: str) -> None:
    x, w = operands(image, filters, geometry)
    g = torch.randn_like(reference.mac_forward(x, w, geometry))
    expected = reference.adder_input_gradient(g, x, w, geometry, gradient)
    ours = launch.input_gradient(g, x, w, geometry, gradient, emulate=True)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-4)


def _steps(image: Any, filters: Any, geometry: Geometry) -> int:
    p, q = geometry.output_size(image[2:], filters[1:])
    return int(image[0] * p * q * filters[1] * filters[2] * geometry.groups)


# The interpreter takes a pixel of a group at a time for the sign: the larger images would take it minutes.
WEIGHT_CASES = [
    pytest.param(*case.values, gradient, id=f"{case.id}-{gradient}", marks=case.marks)
    for case in INTERPRETED
    for gradient in ("full", "sign")
    if gradient == "full" or _steps(*case.values) <= 400
]


@pytest.mark.parametrize(("image", "filters", "geometry", "gradient"), WEIGHT_CASES)
def test_weight_gradient(launch: Any, image: Any, filters: Any, geometry: Geometry, gradient: str) -> None:
    x, w = operands(image, filters, geometry)
    g = torch.randn_like(reference.mac_forward(x, w, geometry))
    expected = reference.adder_weight_gradient(g, x, w, geometry, gradient)
    ours = launch.weight_gradient_of(g, x, w, geometry, gradient)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("gradient", ["full", *exhaustive("sign")])
def test_weight_gradient_is_split_over_pixels_and_accumulates_in_fp32(
    launch: Any, gradient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "processors", lambda device: 40)
    partial_sums: list[int] = []
    real = torch.empty
    monkeypatch.setattr(
        launch.torch, "empty", lambda shape, **kw: (partial_sums.append(shape[0]), real(shape, **kw))[1]
    )
    x, w, g = (torch.randn(shape).half() for shape in ((3, 5, 11, 10), (6, 5, 1, 2), (3, 6, 11, 9)))
    # In fp64 a sum of 297 terms shows what half precision would lose.
    expected = reference.adder_weight_gradient(g.double(), x.double(), w.double(), Geometry(), gradient)
    ours = launch.weight_gradient_of(g, x, w, Geometry(), gradient)
    assert partial_sums[0] > 1
    torch.testing.assert_close(ours.double(), expected, rtol=torch.finfo(torch.float16).eps, atol=1e-2)


@pytest.mark.parametrize("groups", [2, *exhaustive(1)])
@pytest.mark.parametrize("dtype", [torch.float32, *exhaustive(torch.float16)], ids=str)
@pytest.mark.parametrize("width", [12, *exhaustive(8, 16, 24)])
def test_aligned_channels_are_loaded_wide(launch: Any, width: int, dtype: torch.dtype, groups: int) -> None:
    geometry = Geometry((2, 1), (1, 1), groups=groups)
    x = torch.randn(1, groups * width, 6, 5).to(dtype).contiguous(memory_format=torch.channels_last)
    w = torch.randn(4 * groups, width, 3, 3).to(dtype)
    assert launch._aligned(x, width) == (width * x.element_size() % 16 == 0)
    expected = reference.adder_forward(x, w, geometry)
    out = launch.convolve("adder", x, w, geometry, empty_output(x, list(expected.shape)), emulate=True)
    rtol = 2 * torch.finfo(dtype).eps + 1e-5
    torch.testing.assert_close(out, expected, rtol=rtol, atol=1e-4)
    g = torch.randn(1, width * groups, 6, 5).to(dtype).contiguous(memory_format=torch.channels_last)
    v = torch.randn(width * groups, 3, 3, 3).to(dtype)
    x = torch.randn(1, 3 * groups, 6, 5).to(dtype)
    geometry = Geometry((1, 1), (1, 1), groups=groups)
    expected = reference.adder_input_gradient(g, x, v, geometry, "full")
    ours = launch.input_gradient(g, x, v, geometry, emulate=True)
    torch.testing.assert_close(ours, expected, rtol=rtol, atol=1e-3)


def test_a_view_that_starts_between_16_bytes_is_not_loaded_wide(launch: Any) -> None:
    storage = torch.randn(1 + 2 * 6 * 5 * 8)
    x = storage[1:].view(2, 6, 5, 8).permute(0, 3, 1, 2)
    w = torch.randn(4, 8, 3, 3)
    assert not launch._aligned(x, 8)
    assert launch._aligned(x.clone(memory_format=torch.channels_last), 8)
    expected = reference.adder_forward(x, w, Geometry())
    out = launch.convolve("adder", x, w, Geometry(), torch.empty_like(expected), emulate=True)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)


APART = 1 << 30
"""Elements between two pixels: the third is further from the first than 31 bits can count."""


@pytest.fixture(scope="module")
def wide_storage() -> Tensor:
    """Mostly never touched. An address that is wrong by 2³² elements still lies within it."""
    try:
        return torch.empty(4 * APART + 64, dtype=torch.float16)
    except RuntimeError as error:
        pytest.skip(f"no 8 GiB of addresses here: {error}")


def far_apart(storage: Tensor, values: Tensor) -> Tensor:
    """The same [1, C, 1, 3] with APART elements between pixels, as a batch of many rows has."""
    _, c, _, w = values.shape
    storage[:c] = 0
    return storage.as_strided((1, c, 1, w), (c, 1, c, APART), 2 * APART).copy_(values)


@pytest.mark.parametrize("far", ["input", "output", "gradient"])
def test_pixels_may_be_further_apart_than_31_bits(launch: Any, wide_storage: Tensor, far: str) -> None:
    geometry = Geometry()
    x, w = torch.randn(1, 8, 1, 3).half(), torch.randn(8, 8, 1, 1).half()
    g = torch.randn(1, 8, 1, 3).half()
    exact = reference.adder_forward(x, w, geometry)
    gradients = [
        (reference.adder_input_gradient(g, x, w, geometry, "full"), launch.input_gradient, {"emulate": True}),
        (reference.adder_weight_gradient(g, x, w, geometry, "full"), launch.weight_gradient_of, {}),
        (reference.adder_weight_gradient(g, x, w, geometry, "sign"), launch.weight_gradient_of, {}),
    ]
    out = empty_output(x, list(exact.shape))
    if far == "input":
        x = far_apart(wide_storage, x)
    elif far == "output":
        out = far_apart(wide_storage, out)
    else:
        g = far_apart(wide_storage, g)
    launch.convolve("adder", x, w, geometry, out, emulate=True)
    torch.testing.assert_close(out, exact, rtol=2e-3, atol=1e-2)
    assert torch.equal(launch.pack_signs(x, 1), launch.pack_signs(x.clone(), 1))
    for (expected, kernel, options), gradient in zip(gradients, ("full", "full", "sign"), strict=True):
        ours = kernel(g, x, w, geometry, gradient, **options)
        torch.testing.assert_close(ours, expected, rtol=2e-3, atol=1e-2)


def _every_tile() -> list[Any]:
    from addercost.kernels.gpu import tiles

    named = {"sum": tiles.SUM_TILES, "gradient": tiles.GRADIENT_TILES, "run": tiles.RUN_TILES}
    return [
        pytest.param(
            kind,
            (t.rows, t.columns, t.warps_n),
            id=f"{kind}-{t.rows}x{t.columns}x{t.warps_n}",
            # Halves take the interpreter three times as long.
            marks=() if t == group[0] and kind != "run" else pytest.mark.exhaustive,
        )
        for kind, group in named.items()
        for t in group
    ]


@pytest.mark.parametrize(("kind", "shape"), _every_tile())
def test_every_tile(launch: Any, kind: str, shape: tuple[int, int, int]) -> None:
    """On an image that fills no tile: edges across pixels, filters and channels at once."""
    tile = launch.Tile(*shape)
    geometry = Geometry((1, 2), (1, 0))
    x, w = torch.randn(3, 10, 4, 7), torch.randn(70, 10, 2, 1)
    if kind == "gradient":
        x, w = torch.randn(3, 70, 4, 7), torch.randn(10, 70, 2, 1)
        g = torch.randn_like(reference.mac_forward(x, w, geometry))
        expected = reference.adder_input_gradient(g, x, w, geometry, "full")
        ours = launch.input_gradient(g, x, w, geometry, emulate=True, tile=tile)
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-4)
        return
    site, rtol = ("adder", 1e-5) if kind == "sum" else ("adder_half2", 0.005)
    if kind == "run":
        x, w = x.half(), w.half()
    expected = reference.adder_forward(x.double(), w.double(), geometry)
    operands = (x, w) if kind == "sum" else (launch.pack_halves(x), launch.pack_halves(w))
    out = torch.empty_like(expected, dtype=x.dtype)
    launch.convolve(site, *operands, geometry, out, emulate=True, tile=tile)
    torch.testing.assert_close(out.double(), expected, rtol=rtol, atol=1e-4)


def test_the_tile_fits_the_problem() -> None:
    from addercost.kernels.gpu.tiles import SUM_TILES, choose

    large = choose(SUM_TILES, 100_000, 512, 1, 132)
    assert (large.rows, large.columns) == (8, 8)
    # 16 filters: no column of threads without work.
    assert choose(SUM_TILES, 100_000, 16, 1, 132).block_n == 16
    # One image of 7 × 7 pixels: smaller tiles, for more processors.
    small = choose(SUM_TILES, 49, 512, 1, 132)
    assert small.rows * small.columns < 64


@pytest.mark.parametrize(("image", "filters", "geometry"), GEOMETRIES)
def test_halves_are_packed_in_order(launch: Any, image: Any, filters: Any, geometry: Geometry) -> None:
    """Of inputs and filters of every shape, 1 × 1 and views whose first element is not aligned, too."""
    for tensor in (torch.randn(image), operands(image, filters, geometry)[1]):
        half = torch.cat([tensor, tensor], 1).half()
        shifted = torch.cat([torch.zeros(1).half(), half.flatten()])[1:].view(half.shape)
        for one in (half, half.contiguous(memory_format=torch.channels_last), shifted):
            words = launch.pack_halves(one)
            low, high = words & 0xFFFF, words >> 16 & 0xFFFF
            pairs = torch.stack([low, high], 2).to(torch.int16).view(torch.float16)
            assert torch.equal(pairs.flatten(1, 2), half)


@pytest.mark.parametrize("channels", [2, *exhaustive(14, 66)])
def test_runs_of_halves_keep_their_bound(launch: Any, channels: int) -> None:
    """8 roundings of 2⁻¹¹ a run at most and the output's own; a plain sum of 396 in halves may lose 19 %."""
    x, w = torch.randn(1, channels, 4, 3).half(), torch.randn(20, channels, 3, 2).half()
    exact = reference.adder_forward(x.double(), w.double(), Geometry())
    out = torch.empty_like(exact, dtype=torch.float16)
    launch.convolve(
        "adder_half2", launch.pack_halves(x), launch.pack_halves(w), Geometry(), out, emulate=True
    )
    bound = (8 + 1) * 2.0**-11
    assert float(((out.double() - exact) / exact).abs().max()) <= bound


@pytest.mark.parametrize(("image", "filters", "geometry"), ONE)
def test_bytes(launch: Any, image: Any, filters: Any, geometry: Geometry) -> None:
    x, w = (t.mul(60).add(128).clamp(0, 255).byte() for t in operands(image, filters, geometry))
    expected = reference.adder_u8_forward(x, w, geometry)
    words = launch.pack_bytes(x, geometry.groups), launch.pack_bytes(w, 1)
    out = output_for(expected, torch.int32)
    assert torch.equal(launch.convolve("adder_u8", *words, geometry, out, emulate=True), expected)


@pytest.mark.parametrize(("image", "filters", "geometry"), ONE)
def test_signs(launch: Any, image: Any, filters: Any, geometry: Geometry) -> None:
    x, w = operands(image, filters, geometry)
    x[..., 0], x[..., -1] = 0.0, -0.0
    expected = reference.binary_forward(x, w, geometry)
    words = launch.pack_signs(x, geometry.groups), launch.pack_signs(w, 1)
    assert torch.equal(words_by_filter(pack_filters(w, geometry.groups), tuple(w.shape)), words[1])
    out = launch.convolve("xnor", *words, geometry, output_for(expected, torch.int32), emulate=True)
    assert torch.equal(w[0].numel() - 2.0 * out, expected)


@pytest.mark.exhaustive
@pytest.mark.parametrize("site", ["adder", "mac"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_half_precision_accumulates_in_fp32(launch: Any, site: str, dtype: torch.dtype) -> None:
    x, w = torch.randn(1, 70, 3, 3).to(dtype), torch.randn(40, 70, 2, 2).to(dtype)
    forward = reference.adder_forward if site == "adder" else reference.mac_forward
    expected = forward(x.double(), w.double(), Geometry(padding=(1, 1)))
    out = empty_output(x, list(expected.shape))
    launch.convolve(site, x, w, Geometry(padding=(1, 1)), out, emulate=True)
    torch.testing.assert_close(out.double(), expected, rtol=2 * torch.finfo(dtype).eps, atol=1e-2)


@pytest.mark.parametrize("value", [float("nan"), *exhaustive(float("inf"), -float("inf"))])
def test_nan_and_infinity_propagate(launch: Any, value: float) -> None:
    x, w = torch.randn(1, 5, 4, 4), torch.randn(3, 5, 3, 3)
    x[0, 1, 2, 2] = value
    expected = reference.adder_forward(x, w, Geometry())
    out = launch.convolve("adder", x, w, Geometry(), torch.empty_like(expected), emulate=True)
    torch.testing.assert_close(out, expected, equal_nan=True, rtol=1e-5, atol=1e-4)
    g = torch.ones_like(expected)
    expected = reference.adder_input_gradient(g, x, w, Geometry(), "full")
    ours = launch.input_gradient(g, x, w, Geometry(), emulate=True)
    torch.testing.assert_close(ours, expected, equal_nan=True)
    for gradient in ("full", "sign"):
        expected = reference.adder_weight_gradient(g, x, w, Geometry(), gradient)
        ours = launch.weight_gradient_of(g, x, w, Geometry(), gradient)
        torch.testing.assert_close(ours, expected, equal_nan=True, rtol=1e-4, atol=1e-4)
