"""Launches as Triton makes them on a GPU, but for the launch: arguments bound, specialised and compiled."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

triton = pytest.importorskip("triton", reason="the GPU kernels need triton")
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.runtime import driver  # noqa: E402

from addercost.kernels import dispatch  # noqa: E402
from addercost.kernels.gpu import launch, limits, operations  # noqa: E402
from addercost.kernels.problem import Geometry, empty_output  # noqa: E402
from tests.kernels.geometries import exhaustive  # noqa: E402

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


@pytest.mark.parametrize("dtype", [torch.float16, *exhaustive(torch.float32, torch.bfloat16)], ids=str)
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


@pytest.mark.exhaustive
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
        out = empty_output(x, [2, 24, size - 2, 5])
        launch.convolve("adder", x, w, Geometry(), out, tile=tile)
        launch.weight_gradient_of(out, x, w, Geometry(), "sign")
    for groups, channels in ((1, 32), (2, 16), (16, 3)):
        launch.pack_signs(torch.randn(1, groups * channels, 3, 3), groups)
    once = sorted({kernel.hash: name for name, kernel in compiled}.values())
    assert once == ["convolution_kernel", "pack_signs_kernel", "weight_sign_kernel"]


@pytest.mark.exhaustive
def test_limits(compiled: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "limit_kernel", launch._kernel(limits.limit_kernel))
    for site in dict.fromkeys(site for site, _ in limits.SITES.values()):
        limits.site_call(site, torch.device("cpu"), 2, 64, emulate=False)[0]()
    assert names(compiled) == ["limit_kernel"] * 5


@pytest.mark.parametrize(
    ("image", "weight", "geometry", "fits"),
    [
        pytest.param((128, 64, 56, 56), (64, 64, 3, 3), Geometry(padding=(1, 1)), True, id="resnet"),
        pytest.param((1, 4096, 1, 1 << 24), (4096, 4096, 1, 1), Geometry(), True, id="a linear layer's rows"),
        pytest.param((1 << 10, 1, 1 << 10, 1 << 11), (1, 1, 1, 1), Geometry(), False, id="2^31 pixels"),
        pytest.param(
            (1 << 10, 1, 1448, 1448), (1, 1, 3, 3), Geometry(padding=(1, 1)), False, id="by padding"
        ),
        pytest.param((1, 1, 8, 8), (1 << 21, 1, 1, 1), Geometry(), False, id="2^21 filters"),
        pytest.param((1, 1 << 17, 1, 1), (1 << 17, 1, 1, 1), Geometry(groups=1 << 17), False, id="groups"),
        pytest.param((1, 1 << 25, 1, 1), (1, 1 << 25, 1, 1), Geometry(), False, id="2^25 channels"),
    ],
)
def test_what_the_kernels_cannot_number_is_left_to_the_reference(
    image: Any, weight: Any, geometry: Geometry, fits: bool
) -> None:
    """Grids of CUDA have 65535 programs in their second and third dimension, tiles 16 columns at least."""
    assert launch.addressable(image, weight, geometry) is fits


FUSED = {"adder_fused_forward", "adder_coded_forward", "binary_fused_forward", "binary_signs_forward"}


@pytest.mark.parametrize("index", [0, 1])
def test_kernels_run_on_the_device_of_their_tensors(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton launches on the current device, 0 here, whatever its arguments lie on."""
    entered: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext(entered.append(device)))
    seen = operations.on_its_device(lambda tensor: tensor)(
        SimpleNamespace(device=torch.device("cuda", index))  # type: ignore[arg-type]
    )
    assert seen is not None
    assert entered == ([] if index == 0 else [torch.device("cuda", 1)])
    names = [name for name in vars(dispatch) if name.startswith(("adder_", "binary_", "shift_"))]
    # Stores of networks are of the CPU's kernels; a GPU runs such a layer step by step.
    assert {name for name in names if not hasattr(operations, name)} == FUSED
    kernels = [getattr(operations, name) for name in names if name not in FUSED]
    assert len(kernels) == 8
    assert all(hasattr(kernel, "__wrapped__") for kernel in kernels)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(AssertionError("libcuda.so cannot found!"), id="no libcuda"),
        pytest.param(FileNotFoundError("/sbin/ldconfig"), id="no ldconfig"),
    ],
)
def test_what_triton_raises_at_its_first_launch_leaves_the_work_to_the_reference(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise error

    stand_in = SimpleNamespace(FAILURES=operations.FAILURES, adder_forward=fails)
    monkeypatch.delenv(dispatch.VARIABLE, raising=False)
    monkeypatch.setattr(dispatch, "_load", lambda name: stand_in)
    dispatch._warn_once.cache_clear()
    x, w = operands(torch.float32)
    with pytest.warns(RuntimeWarning, match="the slower reference runs instead"):
        out = dispatch.adder_forward(x, w, Geometry())
    assert out.shape == (2, 24, 7, 5)


def test_a_sum_of_halves_that_overflows_is_no_nan() -> None:
    """A few million activations sum to more than 65504, and only a NaN sends signs to the slow reference."""
    many = torch.full((4, 70_000), 30.0, dtype=torch.float16)
    assert torch.isinf(many.sum())
    assert operations._finite(many) and operations._finite(many, many)
    assert not operations._finite(many, torch.tensor([1.0, float("nan")]))
