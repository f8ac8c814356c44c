"""The Triton kernels' arithmetic and addressing, run by Triton's interpreter, against the reference.

The PTX instructions for bytes and bits are spelled out there; `test_gpu_instructions` looks at the real ones.
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
from tests.kernels.geometries import GEOMETRIES

pytest.importorskip("triton", reason="the GPU kernels need triton")

PACKAGE = "addercost.kernels.gpu"


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


@pytest.mark.parametrize(("image", "filters", "geometry"), GEOMETRIES)
def test_adder_forward(launch: Any, image: Any, filters: Any, geometry: Geometry) -> None:
    x, w = operands(image, filters, geometry)
    expected = reference.adder_forward(x, w, geometry)
    out = launch.convolve("adder", x, w, geometry, output_for(expected, torch.float32))
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("image", "filters", "geometry"), GEOMETRIES)
def test_input_gradient(launch: Any, image: Any, filters: Any, geometry: Geometry) -> None:
    x, w = operands(image, filters, geometry)
    g = torch.randn_like(reference.mac_forward(x, w, geometry))
    expected = reference.adder_input_gradient(g, x, w, geometry, "full")
    torch.testing.assert_close(launch.input_gradient(g, x, w, geometry), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("image", "filters", "geometry"), GEOMETRIES)
def test_bytes(launch: Any, image: Any, filters: Any, geometry: Geometry) -> None:
    x, w = (t.mul(60).add(128).clamp(0, 255).byte() for t in operands(image, filters, geometry))
    expected = reference.adder_u8_forward(x, w, geometry)
    words = launch.pack_bytes(x, geometry.groups), launch.pack_bytes(w, 1)
    out = output_for(expected, torch.int32)
    assert torch.equal(launch.convolve("adder_u8", *words, geometry, out, emulate=True), expected)


@pytest.mark.parametrize(("image", "filters", "geometry"), GEOMETRIES)
def test_signs(launch: Any, image: Any, filters: Any, geometry: Geometry) -> None:
    x, w = operands(image, filters, geometry)
    x[..., 0], x[..., -1] = 0.0, -0.0
    expected = reference.binary_forward(x, w, geometry)
    words = launch.pack_signs(x, geometry.groups), launch.pack_signs(w, 1)
    out = launch.convolve("xnor", *words, geometry, output_for(expected, torch.int32), emulate=True)
    assert torch.equal(w[0].numel() - 2.0 * out, expected)


@pytest.mark.parametrize("site", ["adder", "mac"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_half_precision_accumulates_in_fp32(launch: Any, site: str, dtype: torch.dtype) -> None:
    x, w = torch.randn(1, 70, 3, 3).to(dtype), torch.randn(150, 70, 2, 2).to(dtype)
    forward = reference.adder_forward if site == "adder" else reference.mac_forward
    expected = forward(x.double(), w.double(), Geometry(padding=(1, 1)))
    out = empty_output(x, list(expected.shape))
    launch.convolve(site, x, w, Geometry(padding=(1, 1)), out)
    torch.testing.assert_close(out.double(), expected, rtol=2 * torch.finfo(dtype).eps, atol=1e-2)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_propagate(launch: Any, value: float) -> None:
    x, w = torch.randn(1, 3, 5, 5), torch.randn(4, 3, 3, 3)
    x[0, 1, 2, 2] = value
    expected = reference.adder_forward(x, w, Geometry())
    out = launch.convolve("adder", x, w, Geometry(), torch.empty_like(expected))
    torch.testing.assert_close(out, expected, equal_nan=True, rtol=1e-5, atol=1e-4)
    g = torch.ones_like(expected)
    expected = reference.adder_input_gradient(g, x, w, Geometry(), "full")
    torch.testing.assert_close(launch.input_gradient(g, x, w, Geometry()), expected, equal_nan=True)
