"""The Triton kernels on a real GPU, against the reference on the same device."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from addercost.kernels import dispatch, reference
from addercost.kernels.problem import Geometry
from tests.kernels.geometries import GEOMETRIES

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(autouse=True)
def _forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "triton")


@pytest.mark.parametrize(("image", "filters", "geometry"), GEOMETRIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_adder_forward_and_input_gradient(
    image: Any, filters: Any, geometry: Geometry, dtype: torch.dtype
) -> None:
    k, r, s = filters
    x = torch.randn(image, device="cuda").to(dtype)
    w = torch.randn(k, image[1] // geometry.groups, r, s, device="cuda").to(dtype)
    expected = reference.adder_forward(x, w, geometry)
    dispatch.runs.clear()
    tolerance = {"rtol": 4 * torch.finfo(dtype).eps, "atol": 1e-3}
    torch.testing.assert_close(dispatch.adder_forward(x, w, geometry), expected, **tolerance)
    g = torch.randn_like(expected)
    gradient = reference.adder_input_gradient(g, x, w, geometry, "full")
    ours = dispatch.adder_input_gradient(g, x, w, geometry, "full")
    torch.testing.assert_close(ours, gradient, rtol=4 * torch.finfo(dtype).eps, atol=2e-2)
    assert set(dispatch.runs) == {("adder_forward", "triton"), ("adder_input_gradient", "triton")}


@pytest.mark.parametrize(("image", "filters", "geometry"), GEOMETRIES)
def test_bytes_and_signs_are_exact(image: Any, filters: Any, geometry: Geometry) -> None:
    k, r, s = filters
    x = torch.randn(image, device="cuda")
    w = torch.randn(k, image[1] // geometry.groups, r, s, device="cuda")
    assert torch.equal(dispatch.binary_forward(x, w, geometry), reference.binary_forward(x, w, geometry))
    x, w = (t.mul(60).add(128).clamp(0, 255).byte() for t in (x, w))
    assert torch.equal(dispatch.adder_u8_forward(x, w, geometry), reference.adder_u8_forward(x, w, geometry))
