"""The operators as torch citizens: opcheck, meta, fake tensors, schema names."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from addercost.layers import (
    AdderConv2d,
    AdderLinear,
    BinaryConv2d,
    BinaryLinear,
    ShiftConv2d,
    ShiftLinear,
)

CONVOLUTIONS = [AdderConv2d, BinaryConv2d, ShiftConv2d]
LINEARS = [AdderLinear, BinaryLinear, ShiftLinear]
CONVOLUTION_ARGUMENTS = ["input", "weight", "bias", "stride", "padding", "dilation", "groups"]
LINEAR_ARGUMENTS = ["input", "weight", "bias"]
EXHAUSTIVE = pytest.mark.exhaustive
OTHERS = ("binary", "shift")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("adder_conv2d", [*CONVOLUTION_ARGUMENTS, "gradient"]),
        ("adder_linear", [*LINEAR_ARGUMENTS, "gradient"]),
        ("binary_conv2d", CONVOLUTION_ARGUMENTS),
        ("binary_linear", LINEAR_ARGUMENTS),
        ("shift_conv2d", CONVOLUTION_ARGUMENTS),
        ("shift_linear", LINEAR_ARGUMENTS),
    ],
)
def test_argument_names_are_the_ones_counting_rules_read(name: str, arguments: list[str]) -> None:
    schema = getattr(torch.ops.addercost, name).default._schema
    assert [argument.name for argument in schema.arguments] == arguments


@pytest.mark.parametrize(
    "name", ["adder_conv2d", *(pytest.param(f"{kind}_conv2d", marks=EXHAUSTIVE) for kind in OTHERS)]
)
@pytest.mark.parametrize(
    "layout",
    [
        pytest.param(torch.contiguous_format, id="nchw"),
        pytest.param(torch.channels_last, id="nhwc", marks=EXHAUSTIVE),
    ],
)
@pytest.mark.parametrize(
    "biased", [pytest.param(True, id="bias"), pytest.param(False, id="plain", marks=EXHAUSTIVE)]
)
def test_convolutions_pass_opcheck(name: str, layout: torch.memory_format, biased: bool) -> None:
    x = torch.randn(2, 4, 6, 5).to(memory_format=layout).requires_grad_()
    weight = torch.randn(6, 2, 3, 3, requires_grad=True)
    bias = torch.randn(6, requires_grad=True)
    operator = getattr(torch.ops.addercost, name).default
    place = ([2, 1], [1, 1], [1, 1]) if biased else ([1, 1], [0, 0], [1, 2])
    torch.library.opcheck(operator, (x, weight, bias if biased else None, *place, 2))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["adder_linear", *(f"{kind}_linear" for kind in OTHERS)])
@pytest.mark.parametrize(
    "leading",
    [
        pytest.param((), id="vector"),
        pytest.param((3,), id="matrix"),
        pytest.param((2, 3), id="batched"),
    ],
)
def test_linears_pass_opcheck(name: str, leading: tuple[int, ...]) -> None:
    x = torch.randn(*leading, 7, requires_grad=True)
    weight = torch.randn(5, 7, requires_grad=True)
    torch.library.opcheck(getattr(torch.ops.addercost, name).default, (x, weight, torch.randn(5)))


@pytest.mark.parametrize(
    ("gradient", "name"),
    [
        ("full", "adder_conv2d_input_gradient"),
        ("sign", "adder_conv2d_weight_gradient"),
        pytest.param("sign", "adder_conv2d_input_gradient", marks=EXHAUSTIVE),
        pytest.param("full", "adder_conv2d_weight_gradient", marks=EXHAUSTIVE),
    ],
)
def test_gradient_operators_pass_opcheck(name: str, gradient: str) -> None:
    tensors = (torch.randn(2, 6, 4, 3), torch.randn(2, 4, 6, 5), torch.randn(6, 2, 3, 3))
    operator = getattr(torch.ops.addercost, name).default
    torch.library.opcheck(operator, (*tensors, [1, 1], [0, 0], [1, 1], 2, gradient))


@pytest.mark.parametrize("layer_type", CONVOLUTIONS, ids=lambda t: t.__name__)
def test_convolutions_run_without_data(layer_type: Any) -> None:
    on_meta = layer_type(3, 8, 3, stride=2, padding=1, device="meta")
    assert on_meta(torch.empty(2, 3, 9, 9, device="meta")).shape == (2, 8, 5, 5)
    with FakeTensorMode():
        assert layer_type(3, 8, 3)(torch.randn(2, 3, 9, 9)).shape == (2, 8, 7, 7)


@pytest.mark.parametrize("layer_type", LINEARS, ids=lambda t: t.__name__)
def test_linears_run_without_data(layer_type: Any) -> None:
    on_meta = layer_type(3, 8, device="meta")
    assert on_meta(torch.empty(2, 5, 3, device="meta")).shape == (2, 5, 8)
    with FakeTensorMode():
        assert layer_type(3, 8)(torch.randn(4, 3)).shape == (4, 8)


@pytest.mark.exhaustive
def test_first_layer_imports_neither_the_compiler_nor_kernel_packages() -> None:
    program = (
        "import sys, torch, addercost.layers as layers\n"
        "known = {m for m in ('halide', 'triton', 'pandas', 'torch._dynamo') if m in sys.modules}\n"
        "assert not known, known\n"
        "layers.AdderLinear(2, 3)(torch.ones(1, 2))\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
