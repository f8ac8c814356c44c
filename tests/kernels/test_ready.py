"""Calls that are prepared once for their sizes: the same bits, the same errors, and no call that is out of
date."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from addercost.errors import ShapeError
from addercost.kernels import dispatch, ready, reference
from addercost.kernels.problem import Geometry
from addercost.layers import (
    AdderConv2d,
    AdderLinear,
    BinaryConv2d,
    CodedAdder,
    FusedAdder,
    ShiftLinear,
    fuse,
    pack_binary,
    quantize_adder,
)
from addercost.layers.fused_adder import codes_of_range

pytest.importorskip("halide", reason="the CPU kernels need halide")

lookup = pytest.importorskip("addercost.kernels.cpu.binary.lookup")
native = pytest.importorskip("addercost.kernels.cpu.ir.native")

LAST = torch.channels_last


def fused(layer: nn.Module) -> nn.Module:
    """The layer with a batch norm and a ReLU in its store."""
    return fuse(nn.Sequential(layer, nn.BatchNorm2d(5), nn.ReLU()).eval())


def coded(layer: AdderConv2d, low: float = 0.0) -> CodedAdder:
    return CodedAdder(FusedAdder(layer.eval()), codes_of_range(low, 3.0))


LAYERS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "convolution": (
        lambda: AdderConv2d(3, 5, 3, stride=2, padding=1, bias=True),
        lambda: torch.randn(2, 3, 9, 8),
    ),
    "channels last": (lambda: AdderConv2d(3, 5, 3), lambda: torch.randn(2, 3, 9, 8).to(memory_format=LAST)),
    "one column": (lambda: AdderConv2d(3, 5, 1, bias=True), lambda: torch.randn(2, 3, 9, 1)),
    "depthwise": (lambda: AdderConv2d(4, 4, 3, padding=1, groups=4), lambda: torch.randn(2, 4, 9, 8)),
    "depthwise, channels last": (
        lambda: AdderConv2d(4, 4, 3, padding=1, groups=4),
        lambda: torch.randn(2, 4, 9, 8).to(memory_format=LAST),
    ),
    "every second column": (
        lambda: AdderConv2d(3, 3, 3, groups=3),
        lambda: torch.randn(2, 3, 9, 16)[..., ::2],
    ),
    "linear": (lambda: AdderLinear(19, 7, bias=True), lambda: torch.randn(19)),
    "linear, few rows": (lambda: AdderLinear(19, 7), lambda: torch.randn(3, 19)),
    "linear, many rows": (lambda: AdderLinear(19, 7, bias=True), lambda: torch.randn(2, 9, 19)),
    "linear of one feature": (lambda: AdderLinear(1, 7), lambda: torch.randn(3, 1)),
    "linear, transposed": (lambda: AdderLinear(19, 7), lambda: torch.randn(19, 3).t()),
    "linear, no rows": (lambda: AdderLinear(19, 7), lambda: torch.randn(0, 19)),
    "shift": (lambda: ShiftLinear(19, 7), lambda: torch.randn(9, 19)),
    "fused": (lambda: fused(AdderConv2d(3, 5, 3, padding=1)), lambda: torch.randn(2, 3, 9, 8)),
    "packed": (lambda: pack_binary(BinaryConv2d(3, 32, 3, padding=1)), lambda: torch.randn(2, 3, 9, 8)),
    "packed, channels last": (
        lambda: pack_binary(BinaryConv2d(3, 32, 3)),
        lambda: torch.randn(2, 3, 9, 8).to(memory_format=LAST),
    ),
    "packed, not a number": (
        lambda: pack_binary(BinaryConv2d(3, 32, 3, bias=True)),
        lambda: torch.randn(2, 3, 9, 8).fill_(float("nan")),
    ),
    "packed, counted": (
        lambda: pack_binary(BinaryConv2d(3, 20, 3, padding=1)),
        lambda: torch.randn(2, 3, 9, 8),
    ),
    "codes of floats": (lambda: coded(AdderConv2d(3, 5, 3, padding=1)), lambda: torch.randn(2, 3, 9, 8)),
    "codes": (
        lambda: coded(AdderConv2d(8, 5, 3, padding=1)),
        lambda: torch.randint(0, 256, (2, 8, 9, 8), dtype=torch.uint8).to(memory_format=LAST),
    ),
    "codes, every second column": (
        lambda: coded(AdderConv2d(3, 5, 3)),
        lambda: torch.randn(2, 3, 9, 16)[..., ::2],
    ),
    "codes, a border of whole words": (
        lambda: coded(AdderConv2d(3, 5, 3, padding=1), low=-1.0),
        lambda: torch.randn(2, 3, 9, 8),
    ),
    "codes, depthwise": (lambda: coded(AdderConv2d(4, 4, 3, groups=4)), lambda: torch.randn(2, 4, 9, 8)),
    "quantised": (
        lambda: quantize_adder(AdderConv2d(3, 5, 3, padding=1, bias=True)),
        lambda: torch.randn(2, 3, 9, 8),
    ),
    "quantised, a border of whole words": (
        lambda: quantize_adder(AdderConv2d(8, 5, 3, padding=1)),
        lambda: torch.randn(2, 8, 9, 8).to(memory_format=LAST),
    ),
    "quantised, linear": (lambda: quantize_adder(AdderLinear(19, 7, bias=True)), lambda: torch.randn(3, 19)),
    "quantised, double precision": (
        lambda: quantize_adder(AdderConv2d(3, 5, 3)),
        lambda: torch.randn(1, 3, 9, 8).double(),
    ),
    "fp16": (lambda: AdderConv2d(3, 5, 3, bias=True).half(), lambda: torch.randn(2, 3, 9, 8).half()),
    "bf16, linear": (lambda: AdderLinear(19, 7).bfloat16(), lambda: torch.randn(3, 19).bfloat16()),
    "fp16, fused": (lambda: fused(AdderConv2d(3, 5, 3).half()), lambda: torch.randn(2, 3, 9, 8).half()),
    "fp16, depthwise": (
        lambda: AdderConv2d(4, 4, 3, groups=4).half(),
        lambda: torch.randn(2, 4, 9, 8).half(),
    ),
    "double precision": (lambda: AdderConv2d(3, 5, 3).double(), lambda: torch.randn(1, 3, 9, 8).double()),
}
DISPATCHED = {
    "codes, every second column",
    "codes, a border of whole words",
    "codes, depthwise",
    "every second column",
    "linear, transposed",
    "linear of one feature",
    "linear, no rows",
    "double precision",
    "quantised",
    "quantised, double precision",
    *(() if native.masks_bytes() else ("fp16, depthwise",)),
}
"""Those that need a copy, a transposition, a conversion or the reference."""


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that ran prepared."""
    ran: list[str] = []
    run = dispatch.run_ready
    monkeypatch.setattr(dispatch, "run_ready", lambda name, *rest: (ran.append(name), run(name, *rest))[1])
    return ran


LONG = (
    *("one column", "channels last", "shift", "linear, many rows", "linear, transposed"),
    *("codes", "codes, every second column", "codes, depthwise", "quantised, linear"),
    *("quantised, double precision", "fp16", "bf16, linear", "fp16, fused"),
)
"""Those that compile a kernel which no other test of this file runs."""


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.exhaustive) if kind in LONG else kind for kind in LAYERS]
)
def test_a_prepared_call_gives_what_the_dispatched_one_gives(kind: str, prepared: list[str]) -> None:
    layer, x = (make() for make in LAYERS[kind])
    expected = layer(x).detach()  # With gradients no call is prepared.
    assert not prepared
    with torch.inference_mode():
        for _ in range(2):
            out = layer(x)
            torch.testing.assert_close(out, expected, rtol=0, atol=0, equal_nan=True)
            assert out.stride() == expected.stride()
    assert len(prepared) == (0 if kind in DISPATCHED else 2)


@pytest.mark.parametrize("filters", [32, 20], ids=["looked-up", "counted"])
def test_a_prepared_call_finds_a_nan(filters: int, prepared: list[str]) -> None:
    layer, x = pack_binary(BinaryConv2d(3, filters, 3)), torch.randn(1, 3, 7, 7)
    x[0, 1, 0, 0] = float("nan")
    weight = layer.words, layer.factors, tuple(layer.weight_shape), Geometry()
    expected = reference.binary_packed_forward(x, *weight)
    assert expected.isnan().any() and not expected.isnan().all()
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(layer(x), expected, rtol=0, atol=0, equal_nan=True)
    assert prepared == ["binary_packed_forward"] * 2


def test_new_values_of_weights_and_inputs_are_read() -> None:
    layer = AdderConv2d(2, 2, 3, groups=2)
    with torch.no_grad():
        layer(torch.randn(1, 2, 5, 5))
        layer.weight.fill_(2.0)
        assert (layer(torch.ones(1, 2, 5, 5)) == -9).all()  # 9 taps, each |1 - 2|
        layer.stride = (2, 2)
        assert layer(torch.ones(1, 2, 5, 5)).shape == (1, 2, 2, 2)


def test_a_forced_kernel_is_obeyed_after_a_prepared_call(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = AdderLinear(5, 3), torch.randn(2, 5)
    with torch.no_grad():
        layer(x)
        monkeypatch.setenv(dispatch.VARIABLE, "reference")
        before = dispatch.runs["adder_forward", "reference"]
        layer(x)
    assert dispatch.runs["adder_forward", "reference"] == before + 1


def test_another_number_of_threads_is_another_preparation(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    make = dispatch.ready
    monkeypatch.setattr(dispatch, "ready", lambda *a: (asked.append(torch.get_num_threads()), make(*a))[1])
    layer, x, before = AdderConv2d(2, 2, 3, groups=2), torch.randn(1, 2, 11, 13), torch.get_num_threads()
    try:
        with torch.no_grad():
            for threads in (1, 2, 2):
                torch.set_num_threads(threads)
                layer(x)
    finally:
        torch.set_num_threads(before)
    assert asked == [1, 2]


def test_a_prepared_call_that_fails_is_dispatched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Tensor) -> Tensor:
        raise RuntimeError

    layer, x = AdderConv2d(2, 2, 3, groups=2, bias=True), torch.randn(1, 2, 5, 5)
    monkeypatch.setattr(ready.Ready, "__call__", fail)
    with torch.no_grad():
        out = layer(x)
    assert torch.equal(out, layer(x))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(AdderConv2d(2, 3, 3), (1, 4, 5, 5)), (AdderConv2d(2, 3, 3), (1, 2, 2, 2)), (AdderLinear(4, 3), (2, 5))],
    ids=["channels", "too-small", "features"],
)
def test_errors_are_those_of_a_checked_call(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    with pytest.raises(ShapeError) as checked:
        layer(x)
    for _ in range(2):
        with torch.no_grad(), pytest.raises(ShapeError) as direct:
            layer(x)
        assert str(direct.value) == str(checked.value)
