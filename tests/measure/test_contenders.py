"""Every contender computes the right numbers, and the kernel it names is the one that runs."""

from __future__ import annotations

import math
import sys

import pytest
import torch

from addercost.arithmetic import Arithmetic
from addercost.counts.arithmetics import WITH_LAYERS
from addercost.errors import ArgumentError
from addercost.kernels import dispatch, reference
from addercost.kernels.powers import power_of_two
from addercost.kernels.problem import Geometry
from addercost.layers.ops.binary import filter_scale
from addercost.measure.case import LayerCase, parse_case
from addercost.measure.contenders.choice import contenders, reference_of
from addercost.measure.contenders.contender import (
    DTYPES,
    TENSOR_DTYPES,
    Contender,
    Place,
    UnsupportedError,
)
from addercost.measure.contenders.own import own_contenders
from addercost.measure.contenders.random_data import random_codes, random_tensor
from addercost.measure.contenders.vendor import ONEDNN, activation_codes, output_scale

CPU = torch.device("cpu")
PLACE = Place(CPU)
ALL = [contender for contender in contenders(CPU, WITH_LAYERS, DTYPES) if contender.convolution]
CASES = [
    parse_case("2,16,9,8,24,3,1,1"),
    parse_case("1,5,7,6,3,3x1,2,1x0"),
    parse_case("2,8,6,6,8,3,1,1,4"),
    LayerCase(6, 20, 12, linear=True),
]


def expected(contender: Contender, case: LayerCase) -> torch.Tensor:
    """The layer by the reference, or by torch in fp64, on the tensors the contender makes for itself."""
    dtype = TENSOR_DTYPES.get(contender.dtype)
    if contender.dtype == "int8" and contender.implementation != "quantized layer":
        low = 0 if contender.arithmetic is Arithmetic.ADDER else -127
        high, kind = (256, torch.uint8) if low == 0 else (128, torch.int8)
        codes = activation_codes() if contender.implementation == ONEDNN else 256
        x = random_codes(case.input_shape, PLACE, 0, codes, torch.uint8).double()
        w = random_codes(case.weight_shape, PLACE, low, high, kind).double()
        if low:
            x = x - codes // 2
    else:
        x = random_tensor(case.input_shape, PLACE, dtype or torch.float32).double()
        w = random_tensor(case.weight_shape, PLACE, dtype or torch.float32).double()
    geometry = Geometry(case.stride, case.padding, case.dilation, case.groups)
    if case.linear:
        x, w, geometry = x[:, :, None, None], w[:, :, None, None], Geometry()
    match contender.arithmetic:
        case Arithmetic.MAC:
            out = reference.mac_forward(x, w, geometry)
        case Arithmetic.ADDER:
            out = reference.adder_forward(x, w, geometry)
        case Arithmetic.XNOR:
            out = reference.binary_forward(x, w, geometry)
            if contender.implementation in ("addercost layer", "packed layer"):
                out = out * filter_scale(w)[:, None, None]
        case Arithmetic.SHIFT:
            out = reference.mac_forward(x, power_of_two(w), geometry)
    return out.flatten(1) if case.linear else out


def tolerance(contender: Contender, exact: torch.Tensor, case: LayerCase) -> float:
    """Half an output code for oneDNN's bytes, a code an operand for our quantised layer, else rounding."""
    largest = float(exact.abs().max())
    if contender.implementation == ONEDNN:
        return 0.51 * output_scale(math.prod(case.weight_shape[1:]))
    if contender.implementation == "quantized layer":
        taps = case.sites / exact.numel()
        return 8 / 255 * taps
    return {"fp32": 1e-5, "bf16": 2e-2, "fp16": 2e-3, "int8": 0}[contender.dtype] * largest + 1e-4


def made(contender: Contender, case: LayerCase):
    with torch.no_grad():
        return contender.made(case, PLACE, None)


NUMBERS = [
    pytest.param(
        contender,
        case,
        id=f"{contender.arithmetic} {contender.label} {case.text}",
        # One convolution, but not in half precision. The exhaustive part has pairs, strides, groups and
        # linear layers.
        marks=[] if case is CASES[0] and contender.dtype in ("fp32", "int8") else pytest.mark.exhaustive,
    )
    for contender in ALL
    for case in CASES
    if contender.linear or not case.linear
]


@pytest.mark.parametrize(("contender", "case"), NUMBERS)
def test_numbers(contender: Contender, case: LayerCase) -> None:
    if case.groups > 1 and contender.implementation == "unfold + cdist":
        with pytest.raises(UnsupportedError, match="no groups"):
            made(contender, case)
        return
    with torch.no_grad():
        found = made(contender, case)().double()
    exact = expected(contender, case)
    if contender.implementation == ONEDNN:
        found = (found - 128) * output_scale(math.prod(case.weight_shape[1:]))
    if case.linear and found.dim() == 4:
        # A bare kernel sees the rows as pixels: [1, K, 1, N].
        found = found[0, :, 0].t()
    assert found.shape == exact.shape
    assert float((found - exact).abs().max()) <= tolerance(contender, exact, case)


def test_a_package_that_is_not_there_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing runs in its place."""
    monkeypatch.setitem(sys.modules, "halide", None)
    before = dispatch.runs.copy()
    for contender in own_contenders(CPU):
        with pytest.raises(
            UnsupportedError, match=r"halide is not installed; pip install 'addercost\[cpu\]'"
        ):
            contender.made(CASES[0], PLACE, None)
    assert dispatch.runs == before


@pytest.mark.parametrize("contender", [c for c in ALL if c.claims], ids=lambda c: f"{c.arithmetic} {c.label}")
def test_the_kernel_that_is_named_runs_every_time(contender: Contender) -> None:
    call = made(contender, CASES[0])
    before = dispatch.runs[contender.claims]
    with torch.no_grad():
        call(), call()
    assert dispatch.runs[contender.claims] == before + 2


@pytest.mark.parametrize("contender", [c for c in ALL if c.claims], ids=lambda c: f"{c.arithmetic} {c.label}")
def test_another_kernel_in_its_place_is_no_timing(contender: Contender, monkeypatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "reference")
    with pytest.raises(UnsupportedError, match=r"no halide kernel .* by reference ran instead"):
        made(contender, CASES[0])


def test_int8_runs_in_int8(capfd: pytest.CaptureFixture[str]) -> None:
    """oneDNN's own log names an int8 primitive: u8 source, s8 weights, u8 destination."""
    contender = next(c for c in ALL if c.label == "oneDNN int8")
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
        for case in (parse_case("1,16,9,9,16,3,1,1"), LayerCase(6, 20, 12, linear=True)):
            made(contender, case)()
    log = capfd.readouterr().out
    lines = [line for line in log.splitlines() if ",exec,cpu," in line]
    for kind in ("convolution", "matmul"):
        ran = [line for line in lines if f",{kind}," in line]
        assert ran, log[-2000:]
        assert all("u8" in line and "s8" in line for line in ran)


@pytest.mark.parametrize(
    ("label", "against"),
    [
        pytest.param("torch fp32", None, id="the vendor's fp32 against nothing"),
        pytest.param("torch bf16", "torch fp32", id="the vendor's bf16 against its fp32"),
        pytest.param("oneDNN int8", "torch fp32", id="the vendor's int8 against its fp32"),
        pytest.param("addercost layer bf16", "torch bf16", id="ours against its own format"),
        pytest.param("addercost kernel int8", "oneDNN int8", id="u8 against int8"),
        pytest.param("unfold + cdist fp32", "torch fp32", id="what users run"),
    ],
)
def test_references(label: str, against: str | None) -> None:
    contender = next(c for c in ALL if c.label == label)
    found = reference_of(contender, CPU)
    assert (found.label if found else None) == against


def test_a_gpu_has_tf32_as_a_contender_of_its_own() -> None:
    """Listing them needs no GPU."""
    labels = [c.label for c in contenders(torch.device("cuda"), [Arithmetic.MAC], ["fp32"])]
    assert labels == ["torch fp32", "torch tf32"]


def test_an_unknown_format() -> None:
    with pytest.raises(ArgumentError, match="unknown number format 'fp8'"):
        list(contenders(CPU, [Arithmetic.MAC], ["fp8"]))


def test_what_does_not_fit_is_refused_before_it_is_tried() -> None:
    """The columns of a 3×3 filter are nine times the input: they decide."""
    cdist = next(c for c in ALL if c.implementation == "unfold + cdist")
    case = parse_case("8,64,56,56,64,3,1,1")
    columns = 4 * 8 * 56 * 56 * (64 * 9 + 64)
    with pytest.raises(UnsupportedError, match=r"out of memory: .*; 4 of its 8 images would fit"):
        cdist.made(case, PLACE, (columns + cdist.bytes_moved(case)) * 9 // 16)


def test_bytes_are_those_of_the_format() -> None:
    """Input 2·16·9·8 and output 2·24·9·8 as four bytes each, weight 24·16·9 as one bit."""
    packed = next(c for c in ALL if c.implementation == "packed layer")
    assert packed.bytes_moved(CASES[0]) == 24 * 16 * 9 / 8 + 4 * (2 * 16 + 2 * 24) * 72


def test_random_data_is_never_zero_and_the_same_in_every_run() -> None:
    one, two = (random_tensor((2, 3, 4, 5), PLACE, torch.float32) for _ in range(2))
    assert torch.equal(one, two) and bool((one != 0).all())
    assert one.is_contiguous(memory_format=torch.channels_last)
