"""Launches as Triton makes them on a GPU, but for the launch: arguments bound, specialised and compiled."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

triton = pytest.importorskip("triton", reason="the GPU kernels need triton")
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.runtime import driver  # noqa: E402

from addercost.kernels.gpu import launch, limits  # noqa: E402
from addercost.kernels.problem import Geometry, empty_output  # noqa: E402

Compiled = list[tuple[str, Any]]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Compiled:
    """(name, kernel) of everything that would have been launched, for sm_90."""
    target = GPUTarget("cuda", 90, 32)
    stand_in = SimpleNamespace(
        get_current_target=lambda: target,
        get_current_device=lambda: 0,
        get_current_stream=lambda device: 0,
        get_active_torch_device=lambda: torch.device("cpu"),
        map_python_to_cpp_type=str,
    )
    before = driver._active if hasattr(driver, "_active") else None
    driver.set_active(stand_in)
    kept: Compiled = []

    def warm(function: Any) -> Any:
        def launched(grid: tuple[int, ...]) -> Callable[..., None]:
            assert len(grid) == 3 or function.__name__ != "convolution_kernel"
            assert all(size >= 1 for size in grid)

            def call(*arguments: Any, **options: Any) -> None:
                kept.append((function.__name__, function.warmup(*arguments, grid=grid, **options)))

            return call

        return type("Kernel", (), {"__getitem__": lambda self, grid: launched(grid)})()

    monkeypatch.setattr(launch, "_kernel", warm)
    yield kept
    driver._active = before


def names(compiled: Compiled) -> list[str]:
    return [name for name, _ in compiled]


def operands(dtype: torch.dtype, size: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(2, 16, size, 7).to(dtype).contiguous(memory_format=torch.channels_last)
    return x, torch.randn(24, 16, 3, 3).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_float_layers(compiled: Compiled, dtype: torch.dtype) -> None:
    x, w = operands(dtype)
    out = empty_output(x, [2, 24, 7, 5])
    launch.convolve("adder", x, w, Geometry(), out)
    launch.input_gradient(out, x, w, Geometry(), "full")
    launch.input_gradient(out, x, w, Geometry(), "sign")
    for gradient in ("full", "sign"):
        launch.weight_gradient_of(out, x, w, Geometry(), gradient)
    assert names(compiled) == [
        "convolution_kernel",
        "input_gradient_kernel",
        "input_gradient_kernel",
        "weight_product_kernel",
        "weight_sign_kernel",
    ]


def test_words(compiled: Compiled) -> None:
    x, w = operands(torch.float16)
    out = empty_output(x, [2, 24, 7, 5])
    launch.convolve("adder_half2", launch.pack_halves(x), launch.pack_halves(w), Geometry(), out)
    sums = empty_output(x, [2, 24, 7, 5], torch.int32)
    codes = launch.pack_bytes(x.byte(), 1), launch.pack_bytes(w.byte(), 1)
    launch.convolve("adder_u8", *codes, Geometry(), sums)
    signs = launch.pack_signs(x, 1), launch.pack_signs(w, 1)
    launch.convolve("xnor", *signs, Geometry(), sums)
    assert names(compiled).count("convolution_kernel") == 3
    assert names(compiled).count("pack_signs_kernel") == 2


def test_one_compilation_serves_every_size_of_a_class(compiled: Compiled) -> None:
    """Sizes divisible by 16, equal to 1, or neither: Triton would compile for each if it were let."""
    for size in (9, 16, 33, 3):
        x, w = operands(torch.float32, size)
        tile = launch.Tile(8, 8, 4)
        launch.convolve("adder", x, w, Geometry(), empty_output(x, [2, 24, size - 2, 5]), tile=tile)
    assert len({kernel.hash for _, kernel in compiled}) == 1


def test_limits(compiled: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "limit_kernel", launch._kernel(limits.limit_kernel))
    for site in dict.fromkeys(site for site, _ in limits.SITES.values()):
        limits.site_call(site, torch.device("cpu"), 2, 64, emulate=False)[0]()
    assert names(compiled) == ["limit_kernel"] * 5
