"""Contenders with weights of 2 and 4 bits compute products of their own tensors, by the kernel they name."""

from __future__ import annotations

import pytest
import torch

from addercost.arithmetic import Arithmetic
from addercost.errors import ArgumentError
from addercost.kernels import dispatch
from addercost.kernels.narrow import pack_four_bits, unpack_codes
from addercost.measure.case import LayerCase, parse_case
from addercost.measure.contenders.choice import contenders, reference_of
from addercost.measure.contenders.contender import Contender, Place, UnsupportedError
from addercost.measure.contenders.narrow import narrow_contenders
from addercost.measure.contenders.random_data import random_codes, random_tensor

PLACE = Place(torch.device("cpu"))
CASE = LayerCase(3, 256, 64, linear=True)
ALL = list(narrow_contenders())
OURS = [contender for contender in ALL if contender.claims]


def by_name(contender: Contender) -> str:
    return f"{contender.arithmetic} {contender.label}"


@pytest.mark.parametrize("contender", OURS, ids=by_name)
def test_numbers_and_kernel(contender: Contender) -> None:
    """Ternary sums are exact; the terms of 4-bit ones are whole numbers times a scale, rounded as added."""
    before = dispatch.runs[contender.claims]
    found = contender.made(CASE, PLACE, None)().double()
    assert dispatch.runs[contender.claims] == before + 2
    x = random_codes(CASE.input_shape, PLACE, -127, 128, torch.int8).double()
    if contender.arithmetic is Arithmetic.TERNARY:
        assert torch.equal(found, x @ random_codes(CASE.weight_shape, PLACE, -1, 2, torch.int8).double().t())
        return
    packed = pack_four_bits(random_tensor(CASE.weight_shape, PLACE, torch.float32))
    weights = (unpack_codes(packed).double() - 8) * packed.scales.double().repeat_interleave(128, 1)
    exact = x @ weights.t()
    assert float((found - exact).abs().max()) <= 1e-5 * float((x.abs() @ weights.abs().t()).max())


def test_torch_multiplies_codes_by_scales() -> None:
    """Its weight is (code - 8) times the first number of a group and the second added."""
    (contender,) = (contender for contender in ALL if not contender.claims)
    found = contender.made(CASE, PLACE, None)().double()
    codes = random_codes(CASE.weight_shape, PLACE, 0, 16, torch.int32).double() - 8
    scales = random_tensor((2, 64, 2), PLACE, torch.bfloat16).double()
    of_weights = scales.repeat_interleave(128, 0)
    weights = codes * of_weights[:, :, 0].t() + of_weights[:, :, 1].t()
    exact = random_tensor(CASE.input_shape, PLACE, torch.bfloat16).double() @ weights.t()
    assert float((found - exact).abs().max()) <= 0.01 * float(exact.abs().max())
    with pytest.raises(UnsupportedError, match="whole groups of 128"):
        contender.made(LayerCase(3, 100, 64, linear=True), PLACE, None)


@pytest.mark.parametrize("contender", ALL, ids=by_name)
def test_bytes_of_weights(contender: Contender) -> None:
    """256 · 64 weights of 2 bits, or of 4 with 4 bytes for each 128, beside inputs and outputs."""
    in_bytes, out_bytes = (2, 2) if contender.dtype == "bf16" else (1, 4)
    weights = 256 * 64 // 4 if contender.arithmetic is Arithmetic.TERNARY else 256 * 64 // 2 + 4 * 128
    assert contender.bytes_moved(CASE) == weights + in_bytes * 3 * 256 + out_bytes * 3 * 64


def test_they_are_of_linear_layers_on_the_cpu() -> None:
    """And compared with torch's layer in the same number format."""
    chosen = list(contenders(PLACE.device, [Arithmetic.TERNARY], ["int8"]))
    assert [contender.claims for contender in chosen] == [
        ("narrow_product", "halide"),
        ("lookup_product", "halide"),
    ]
    convolution = parse_case("2,16,9,8,24,3,1,1")
    assert all(c.computes(CASE) and not c.computes(convolution) for c in ALL)
    assert {reference_of(c, PLACE.device).implementation for c in ALL} == {"oneDNN", "torch"}
    assert not list(contenders(torch.device("cuda"), [Arithmetic.MAC], ["int8"]))[1:]
    with pytest.raises(ArgumentError, match="lmul is counted and costed"):
        list(contenders(PLACE.device, [Arithmetic.LMUL], ["int8"]))
