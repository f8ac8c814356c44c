"""Which kernel runs, how one is forced, and what happens when a package is missing or broken."""

from __future__ import annotations

import sys
import warnings
from types import SimpleNamespace

import pytest
import torch

from addercost.errors import ArgumentError
from addercost.kernels import dispatch, reference
from addercost.kernels.problem import Geometry
from addercost.layers import AdderConv2d, AdderLinear, ShiftConv2d

X, W = torch.randn(2, 4, 5, 5), torch.randn(3, 4, 3, 3)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.delenv(dispatch.VARIABLE, raising=False)
    caches = (dispatch._load, dispatch._warn_once)
    for cached in caches:
        cached.cache_clear()
    dispatch.runs.clear()
    yield
    for cached in caches:
        cached.cache_clear()


def test_halide_runs_on_the_cpu_forward_and_backward() -> None:
    pytest.importorskip("halide", reason="the CPU kernels need halide")
    x = X.clone().requires_grad_()
    AdderConv2d(4, 3, 3)(x).sum().backward()
    ShiftConv2d(4, 3, 3)(X)
    AdderLinear(5, 3)(X[0, 0, :3])
    assert dispatch.runs["adder_forward", "halide"] == 2
    assert dispatch.runs["adder_input_gradient", "halide"] == 1
    assert dispatch.runs["shift_forward", "halide"] == 1
    assert dispatch.runs["adder_forward", "reference"] == 0


def test_reference_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "reference")
    dispatch.adder_forward(X, W, Geometry())
    assert dict(dispatch.runs) == {("adder_forward", "reference"): 1}


def test_unknown_kernel_name_offers_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "halid")
    with pytest.raises(ArgumentError, match="did you mean halide"):
        dispatch.adder_forward(X, W, Geometry())


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(None, id="missing"),
        pytest.param(SimpleNamespace(), id="broken"),
    ],
)
def test_without_halide_the_reference_runs_and_says_once_what_to_install(
    broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "halide", broken)
    for name in [m for m in sys.modules if m.startswith("addercost.kernels.cpu")]:
        monkeypatch.delitem(sys.modules, name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            out = dispatch.adder_forward(X, W, Geometry())
    assert torch.equal(out, reference.adder_forward(X, W, Geometry()))
    assert len(caught) == 1
    assert 'pip install "addercost[cpu]"' in str(caught[0].message)
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    with pytest.raises(dispatch.KernelUnavailableError, match="pip install"):
        dispatch.adder_forward(X, W, Geometry())


def test_failing_kernel_falls_back_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise KeyError("no such instruction")

    module = SimpleNamespace(FAILURES=(KeyError,), adder_forward=fails)
    monkeypatch.setattr(dispatch, "_load", lambda name: module)
    with pytest.warns(RuntimeWarning, match="no such instruction") as caught:
        out = dispatch.adder_forward(X, W, Geometry())
        dispatch.adder_forward(X, W, Geometry())
    assert len(caught) == 1
    assert torch.equal(out, reference.adder_forward(X, W, Geometry()))
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    with pytest.raises(dispatch.KernelUnavailableError, match="no such instruction"):
        dispatch.adder_forward(X, W, Geometry())


@pytest.mark.parametrize("dtype", [torch.float64], ids=str)
def test_dtype_without_a_kernel_goes_to_the_reference(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("halide", reason="the CPU kernels need halide")
    dispatch.adder_forward(X.to(dtype), W.to(dtype), Geometry())
    assert dict(dispatch.runs) == {("adder_forward", "reference"): 1}
    monkeypatch.setenv(dispatch.VARIABLE, "halide")
    with pytest.raises(dispatch.KernelUnavailableError, match="float64"):
        dispatch.adder_forward(X.to(dtype), W.to(dtype), Geometry())


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_accumulates_in_fp32(dtype: torch.dtype) -> None:
    pytest.importorskip("halide", reason="the CPU kernels need halide")
    x, w = torch.randn(1, 300, 4, 4).to(dtype), torch.randn(3, 300, 3, 3).to(dtype)
    expected = reference.adder_forward(x.double(), w.double(), Geometry()).to(dtype)
    for forced in (dispatch.adder_forward, reference.adder_forward):
        torch.testing.assert_close(forced(x, w, Geometry()), expected, rtol=torch.finfo(dtype).eps, atol=0)


def test_out_of_memory_names_the_batch_that_would_fit() -> None:
    # A view of one image repeated beyond any memory: the output has no such trick.
    images = torch.randn(1, 4, 64, 64).expand(1 << 34, -1, -1, -1)
    with pytest.raises(MemoryError, match=r"a batch of \d+ would fit") as caught:
        dispatch.adder_forward(images, W, Geometry())
    batch = int(str(caught.value).rsplit("a batch of ", 1)[1].split()[0])
    assert 0 < batch < 1 << 34
