"""Which kernel a recorded call runs, and in which layers of ours: by calls that are written out."""

from __future__ import annotations

import pytest

from addercost.arithmetic import Arithmetic
from addercost.counts.arithmetics import DEFINITIONS
from addercost.counts.kernel_calls import (
    KernelCall,
    Operand,
    arithmetic_of,
    attention_call,
    kernel_call,
    kernel_calls,
)
from addercost.trace.record import ArgValue, OpCall, TensorSpec

X, W = TensorSpec((4, 6), "float32"), TensorSpec((6, 3), "float32", "parameter", "w")
OUT = TensorSpec((4, 3), "float32")
BIAS = TensorSpec((3,), "float32", "parameter", "b")


def call(op: str, *tags: str, out: TensorSpec = OUT, **args: ArgValue) -> OpCall:
    return OpCall(f"{op}.default", "layer", args, (out,), 0, tags)


def convolution(*tags: str, axes: int = 2, op: str = "aten.convolution", transposed: bool = False) -> OpCall:
    image, taps = (5,) * axes, (3,) * axes
    return call(
        op,
        *tags,
        out=TensorSpec((1, 8, *image), "float32"),
        input=TensorSpec((1, 4, *image), "float32"),
        weight=TensorSpec((8, 4, *taps), "float32", "parameter"),
        transposed=transposed,
    )


@pytest.mark.parametrize(
    ("made", "op"),
    [
        pytest.param(convolution(), "aten.convolution.default", id="as-it-is"),
        pytest.param(convolution("arithmetic:mac"), "aten.convolution.default", id="multiply-adds"),
        pytest.param(convolution("arithmetic:adder"), "addercost.adder_conv2d.default", id="adder"),
        pytest.param(convolution("arithmetic:xnor"), "addercost.binary_conv2d.default", id="binary"),
        pytest.param(convolution("arithmetic:adder", axes=1), "adder.convolution.default", id="one-axis"),
        pytest.param(
            convolution("arithmetic:adder", transposed=True), "adder.convolution.default", id="transposed"
        ),
        pytest.param(convolution("arithmetic:ternary"), "ternary.convolution.default", id="no-layer-of-ours"),
        pytest.param(
            convolution("arithmetic:adder", op="addercost.adder_conv2d"),
            "addercost.adder_conv2d.default",
            id="ours-already",
        ),
        pytest.param(
            convolution("arithmetic:mac", op="addercost.adder_conv2d"),
            "aten.convolution.default",
            id="ours-as-multiply-adds",
        ),
        pytest.param(call("aten.bmm", "arithmetic:lmul"), "lmul.bmm.default", id="a-product"),
        pytest.param(call("aten.bmm", "arithmetic:mac"), "aten.bmm.default", id="a-product-as-it-is"),
    ],
)
def test_the_operator_that_runs_a_call(made: OpCall, op: str) -> None:
    kernel = kernel_call(made)
    assert kernel.op == op
    assert kernel.has_operator is op.startswith(("aten.", "addercost."))
    assert kernel.name == op.removesuffix(".default")
    assert [name for name, _ in kernel.arguments] == list(made.args)


@pytest.mark.parametrize("biased", [True, False], ids=["with-a-bias", "without"])
@pytest.mark.parametrize("arithmetic", [Arithmetic.ADDER, Arithmetic.XNOR, Arithmetic.SHIFT])
def test_a_linear_layer_of_ours_takes_its_weight_as_it_is_kept(arithmetic: Arithmetic, biased: bool) -> None:
    tag = f"arithmetic:{arithmetic}"
    made = (
        call("aten.addmm", tag, self=BIAS, mat1=X, mat2=W) if biased else call("aten.mm", tag, self=X, mat2=W)
    )
    bias = Operand((3,), "float32", True) if biased else None
    assert kernel_call(made) == KernelCall(
        DEFINITIONS[arithmetic].linear,
        (("input", Operand((4, 6), "float32")), ("weight", Operand((3, 6), "float32", True)), ("bias", bias)),
        (Operand((4, 3), "float32"),),
    )


def test_a_linear_layer_that_was_not_changed_is_torchs() -> None:
    kernel = kernel_call(call("aten.mm", self=X, mat2=W))
    assert kernel.op == "aten.mm.default"
    assert kernel.argument("mat2") == Operand((6, 3), "float32", True)
    assert kernel.argument("absent") is None


@pytest.mark.parametrize(
    ("role", "is_weight"),
    [("parameter", True), ("buffer", True), ("derived", True), ("activation", False), ("input", False),
     ("constant", False)],
)  # fmt: skip
def test_what_a_kernel_finds_in_memory_before_the_network_runs(role: str, is_weight: bool) -> None:
    kernel = kernel_call(call("aten.relu", self=TensorSpec((3,), "float32", role)))
    (operand,) = kernel.operands()
    assert operand.is_weight is is_weight
    assert operand.n_bytes == 12
    assert operand.spec.role == ("parameter" if is_weight else "activation")


def test_operands_are_found_in_lists_and_other_arguments_are_kept() -> None:
    made = call("aten.cat", tensors=(X, None, OUT), dim=1, sizes=(2, (3, X)))
    kernel = kernel_call(made)
    x, out = Operand((4, 6), "float32"), Operand((4, 3), "float32")
    assert list(kernel.operands()) == [x, out, x]
    assert kernel.argument("dim") == 1


def test_views_run_no_kernel_and_the_rest_is_in_order() -> None:
    calls = (
        call("aten.view", "view", self=X),
        call("aten.relu", self=X),
        call("aten.detach", self=X),
        call("prim.device", a=X),
        call("aten.empty", size=(3,)),
        call("aten.gelu", self=X),
    )
    assert [(path, kernel.name) for path, kernel in kernel_calls(calls)] == [
        ("layer", "aten.relu"),
        ("layer", "aten.gelu"),
    ]


def test_the_arithmetic_of_a_call_is_that_of_its_tag() -> None:
    assert arithmetic_of(call("aten.mm", "pointwise", "arithmetic:shift")) is Arithmetic.SHIFT
    assert arithmetic_of(call("aten.mm", "pointwise")) is None


def test_attention_is_one_kernel() -> None:
    q, k = Operand((1, 5, 8), "float32"), Operand((1, 7, 8), "float32")
    kernel = attention_call(q, k, k, None, q)
    assert list(kernel.operands()) == [q, k, k] and kernel.outputs == (q,)
    assert kernel.name == "aten.scaled_dot_product_attention"
