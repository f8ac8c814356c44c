"""Matrix products, convolutions and our layers, counted by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from addercost.arithmetic import Arithmetic, OpCounts
from addercost.counts.registry import RULES
from addercost.counts.work import OperatorWork
from addercost.trace.record import TensorSpec
from tests.counts.by_hand.calls import call, emptied, layer, ops, scaled, t, total, w, work

NO_LIMITS = {"least": -math.inf, "most": math.inf}
RELU = {"least": 0.0, "most": math.inf}
HARDTANH = {"least": -1.0, "most": 1.0}


def row(id: str, op: str, out: Any, expected: OperatorWork, /, **args: Any) -> Any:
    return pytest.param(op, out, args, expected, id=f"{op.partition('.')[2]}-{id}")


MATRICES = {"mat1": t(2, 5), "mat2": w(5, 3), "self": t(3)}
BATCHES = {"batch1": t(7, 2, 5), "batch2": w(7, 5, 3), "self": t(3)}

MANY = [
    # [2, 5] by [5, 3]: 6 sums of 5 products.
    row("", "aten.mm", t(2, 3), layer(30, 6, inputs=10), self=t(2, 5), mat2=w(5, 3)),
    row("weight-first", "aten.mm", t(2, 3), layer(30, 6, inputs=15), self=w(2, 5), mat2=t(5, 3)),
    row("activations", "aten.mm", t(2, 3), layer(30, 6, inputs=10, weighted=False), self=t(2, 5), mat2=t(5, 3)),
    row("", "aten.bmm", t(7, 2, 3), layer(210, 42, inputs=70), self=t(7, 2, 5), mat2=w(7, 5, 3)),
    row("", "aten.addmm", t(2, 3), layer(30, 6, inputs=10, biased=6), **MATRICES),
    row("alpha", "aten.addmm", t(2, 3), layer(30, 6, scaled(6), inputs=10, biased=6), **MATRICES, alpha=2),
    row("both", "aten.addmm", t(2, 3), layer(30, 6, scaled(12), inputs=10, biased=6), **MATRICES, alpha=2, beta=3),
    row("beta-0", "aten.addmm", t(2, 3), layer(30, 6, inputs=10), **MATRICES, beta=0),
    row("", "aten.baddbmm", t(7, 2, 3), layer(210, 42, inputs=70, biased=42), **BATCHES),
    row("beta", "aten.baddbmm", t(7, 2, 3), layer(210, 42, scaled(42), inputs=70, biased=42), **BATCHES, beta=2),
    row("", "aten.addbmm", t(2, 3), layer(210, 6, inputs=70, biased=6), **BATCHES),
    row("", "aten.addmv", t(2), layer(10, 2, inputs=5, biased=2), self=t(2), mat=w(2, 5), vec=t(5)),
    row("", "aten.mv", t(2), layer(10, 2, inputs=5), self=w(2, 5), vec=t(5)),
    row("", "aten.dot", t(), layer(5, 1, inputs=5), self=t(5), tensor=w(5)),
    row("conjugated", "aten.vdot", t(), layer(5, 1, inputs=5), self=t(5), other=w(5)),
    row("", "aten.addr", t(2, 3), layer(6, 6, inputs=2, biased=6), self=t(2, 3), vec1=t(2), vec2=w(3)),
    row("", "aten.linear", t(7, 2, 3), layer(210, 42, inputs=70), input=t(7, 2, 5), weight=w(3, 5)),
    row("bias", "aten.linear", t(7, 2, 3), layer(210, 42, inputs=70, biased=42), input=t(7, 2, 5), weight=w(3, 5), bias=w(3)),
    row("", "aten.matmul", t(7, 2, 3), layer(210, 42, inputs=70), self=t(7, 2, 5), other=w(5, 3)),
    row("nested", "aten.matmul", t(6), layer(30, 6, inputs=10), self=t(10), other=w(5, 3)),
    row("vectors", "aten.matmul", t(), layer(5, 1, inputs=5), self=t(5), other=w(5)),
    row("scores", "aten.sparse_sampled_addmm", t(2, 3), layer(30, 6, inputs=10, biased=6), **(MATRICES | {"self": t(2, 3)})),
    # Of every four numbers of [2, 8] two are there: sums of 4 products.
    row("", "aten._sparse_semi_structured_mm", t(2, 3), layer(24, 6, inputs=24), mat1=w(2, 4), mat2=t(8, 3)),
    row("bias", "aten._sparse_semi_structured_addmm", t(2, 3), layer(24, 6, inputs=24, biased=6), input=w(3), mat1=w(2, 4), mat2=t(8, 3)),
    row("", "aten._cslt_sparse_mm", t(2, 3), layer(24, 6, inputs=24, biased=6), compressed_A=w(12), dense_B=t(8, 3), bias=w(2)),
    # [2, 6, 5, 7] by four filters of 3 channels and 3×3 (two groups) to [2, 4, 3, 5].
    row("", "aten.convolution", t(2, 4, 3, 5), layer(120 * 27, 120, inputs=420), input=t(2, 6, 5, 7), weight=w(4, 3, 3, 3)),
    row("bias", "aten.convolution", t(2, 4, 3, 5), layer(120 * 27, 120, inputs=420, biased=120), input=t(2, 6, 5, 7), weight=w(4, 3, 3, 3), bias=w(4)),
    # Transposed, in two groups: each of 84 inputs meets 5·2·3 weights. Along the rows 0, 3, 6 and their next but one
    # are reached (0, 2, 3, 5, 6, 8), along the columns 0, 2 and two further taps of each (0, 1, 2, 3, 4).
    row(
        "transposed", "aten.convolution", t(2, 10, 9, 5),
        layer(2 * 7 * 3 * 2 * 30, 2 * 10 * 6 * 5, inputs=84, biased=2 * 10 * 9 * 5),
        input=t(2, 7, 3, 2), weight=w(7, 5, 2, 3), bias=w(10), transposed=True,
        stride=(3, 2), dilation=(2, 1), groups=2,
    ),
    row("bias", "aten.conv_tbc", t(3, 2, 7), layer(42 * 15, 42, inputs=50, biased=42), self=t(5, 2, 5), weight=w(3, 5, 7), bias=w(7)),
    # Deformable convolution is in test_detection.py.
    row("", "addercost.adder_linear", t(2, 3, 7), layer(210, 42, inputs=30, arithmetic=Arithmetic.ADDER), input=t(2, 3, 5), weight=w(7, 5)),
    row("bias", "addercost.binary_linear", t(2, 3, 7), layer(210, 42, inputs=30, biased=42, arithmetic=Arithmetic.XNOR), input=t(2, 3, 5), weight=w(7, 5), bias=w(7)),
    row("", "addercost.shift_linear", t(2, 3, 7), layer(210, 42, inputs=30, arithmetic=Arithmetic.SHIFT), input=t(2, 3, 5), weight=w(7, 5)),
    row("", "addercost.ternary_linear", t(2, 3, 7), layer(210, 42, inputs=30, arithmetic=Arithmetic.TERNARY), input=t(2, 3, 5), weight=w(7, 5)),
    row("bias", "addercost.ternary_linear_packed", t(2, 3, 7), layer(210, 42, inputs=30, biased=42, arithmetic=Arithmetic.TERNARY), input=t(2, 3, 5), words=w(7, 2), bias=w(7)),
    row("bare", "addercost.ternary_linear_packed", t(2, 3, 7), layer(210, 42, inputs=30, arithmetic=Arithmetic.TERNARY), input=t(2, 3, 5), words=w(7, 2)),
    row("", "addercost.adder_conv2d", t(2, 4, 3, 5), layer(120 * 54, 120, inputs=420, arithmetic=Arithmetic.ADDER), input=t(2, 6, 5, 7), weight=w(4, 6, 3, 3)),
    row("", "addercost.binary_conv2d", t(2, 4, 3, 5), layer(120 * 54, 120, inputs=420, arithmetic=Arithmetic.XNOR), input=t(2, 6, 5, 7), weight=w(4, 6, 3, 3)),
    row("", "addercost.shift_conv2d", t(2, 4, 3, 5), layer(120 * 54, 120, inputs=420, arithmetic=Arithmetic.SHIFT), input=t(2, 6, 5, 7), weight=w(4, 6, 3, 3)),
    row("", "addercost.binary_conv2d_packed", t(2, 4, 3, 5), layer(120 * 54, 120, inputs=420, biased=120, arithmetic=Arithmetic.XNOR), input=t(2, 6, 5, 7), weight_shape=(4, 6, 3, 3)),
    # Words of signs: no input is compared where they come in, and every sum is where they go out.
    row("words", "addercost.binary_conv2d_packed", t(2, 4, 3, 5), layer(120 * 54, 120, biased=120, arithmetic=Arithmetic.XNOR), input=t(2, 1, 5, 7, dtype="int32"), weight_shape=(4, 6, 3, 3)),
    row("", "addercost.binary_conv2d_signs", t(2, 1, 3, 5, dtype="int32"), layer(120 * 54, 120, OpCounts.of("fp32", compare=120), inputs=420, biased=120, arithmetic=Arithmetic.XNOR), input=t(2, 6, 5, 7), weight_shape=(4, 6, 3, 3), factors=w(2, 1, 32)),
    row("words", "addercost.binary_conv2d_signs", t(2, 1, 3, 5, dtype="int32"), layer(120 * 54, 120, OpCounts.of("fp32", compare=120), biased=120, arithmetic=Arithmetic.XNOR), input=t(2, 1, 5, 7, dtype="int32"), weight_shape=(4, 6, 3, 3), factors=w(2, 1, 32)),
    row("bare", "addercost.binary_conv2d_fused", t(2, 4, 3, 5), layer(120 * 54, 120, inputs=420, biased=120, arithmetic=Arithmetic.XNOR), input=t(2, 6, 5, 7), weight_shape=(4, 6, 3, 3), **NO_LIMITS),
    # A shortcut is one addition for each output; HardTanh has two limits.
    row("shortcut and hardtanh", "addercost.binary_conv2d_fused", t(2, 4, 3, 5), layer(120 * 54, 120, OpCounts.of("fp32", add=120, compare=240), biased=120, arithmetic=Arithmetic.XNOR), input=t(2, 1, 5, 7, dtype="int32"), weight_shape=(4, 6, 3, 3), shortcut=t(2, 4, 3, 5), **HARDTANH),
    row("negated", "addercost.adder_pairs", t(2, 3), layer(30, 6, inputs=10, arithmetic=Arithmetic.ADDER), input=t(2, 5), sites=30),
    row("bare", "addercost.adder_pairs", t(2, 3), layer(30, 6, inputs=10, arithmetic=Arithmetic.ADDER, negated=False), input=t(2, 5), sites=30, negated=False),
    # A code is a division, rounding and the zero point (two additions), and two limits; a sum is scaled.
    row(
        "", "addercost.adder_conv2d_quantized", t(2, 4, 3, 5),
        layer(120 * 54, 120, OpCounts.of("fp32", divide=420, add=840, compare=840, mul=120), inputs=420,
              number_format="uint8", accumulator_format="int32", arithmetic=Arithmetic.ADDER),
        input=t(2, 6, 5, 7), weight=w(4, 6, 3, 3, dtype="uint8"),
    ),
    # A store: a product and an addition for each sum, and a comparison for a ReLU.
    row(
        "", "addercost.adder_conv2d_fused", t(2, 4, 3, 5),
        layer(120 * 54, 120, OpCounts.of("fp32", mul=120), inputs=420, biased=120, arithmetic=Arithmetic.ADDER),
        input=t(2, 6, 5, 7), weight=w(4, 6, 3, 3), **NO_LIMITS,
    ),
    row(
        "relu", "addercost.adder_conv2d_fused", t(2, 4, 3, 5),
        layer(120 * 54, 120, OpCounts.of("fp32", mul=120, compare=120), inputs=420, biased=120, arithmetic=Arithmetic.ADDER),
        input=t(2, 6, 5, 7), weight=w(4, 6, 3, 3), **RELU,
    ),
    row(
        "shortcut", "addercost.adder_conv2d_fused", t(2, 4, 3, 5),
        layer(120 * 54, 120, OpCounts.of("fp32", mul=120, add=120), inputs=420, biased=120, arithmetic=Arithmetic.ADDER),
        input=t(2, 6, 5, 7), weight=w(4, 6, 3, 3), shortcut=t(2, 4, 3, 5), **NO_LIMITS,
    ),
    row(
        "from floats", "addercost.adder_conv2d_coded", t(2, 4, 3, 5),
        layer(120 * 54, 120, OpCounts.of("fp32", divide=420, add=840, compare=840, mul=120), inputs=420, biased=120,
              number_format="uint8", accumulator_format="int32", arithmetic=Arithmetic.ADDER),
        input=t(2, 6, 5, 7), weight=w(4, 6, 3, 3, dtype="uint8"), **NO_LIMITS, next_scale=None,
    ),
    row(
        "codes to codes", "addercost.adder_conv2d_coded", t(2, 4, 3, 5, dtype="uint8"),
        layer(120 * 54, 120, OpCounts.of("fp32", divide=120, add=240, compare=360, mul=120), inputs=420, biased=120,
              number_format="uint8", accumulator_format="int32", arithmetic=Arithmetic.ADDER),
        input=t(2, 6, 5, 7, dtype="uint8"), weight=w(4, 6, 3, 3, dtype="uint8"), **RELU, next_scale=0.5,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("op", "out", "args", "expected"), MANY)
def test_counts_by_hand(op: str, out: Any, args: dict[str, Any], expected: OperatorWork) -> None:
    assert work(op, out, **args) == expected


@pytest.mark.parametrize(("op", "out", "args", "expected"), MANY)
def test_nothing_is_done_to_tensors_without_elements(
    op: str, out: Any, args: dict[str, Any], expected: OperatorWork
) -> None:
    made = emptied(call(op, out, **args))
    if made.output.shape and "sites" not in args:
        assert total(work(op, made.output, **made.args)) == 0


def narrow(number_format: str, count: int, outputs: int, other: OpCounts, /, **more: Any) -> OperatorWork:
    """Products in a narrow format, summed in int32 or fp32."""
    sums = "int32" if "int" in number_format else "fp32"
    return layer(count, outputs, other, number_format=number_format, accumulator_format=sums, **more)


INT8, FP8 = "int8", "float8_e4m3fn"
ROUNDED = OpCounts.of("fp32", mul=1, add=2, compare=2)
"""A number by the inverse scale, rounded and moved by the zero point, within two limits."""
DOUBLED = OpCounts.of("fp32", mul=6 * 2)


@pytest.mark.parametrize(
    ("op", "out", "args", "expected"),
    [
        row("", "aten._int_mm", t(2, 3, dtype="int32"), narrow(INT8, 30, 6, OpCounts(), inputs=10), self=t(2, 5, dtype=INT8), mat2=w(5, 3, dtype=INT8)),
        row("", "aten._scaled_mm", t(2, 3), narrow(FP8, 30, 6, DOUBLED, inputs=10), self=t(2, 5, dtype=FP8), mat2=w(5, 3, dtype=FP8)),
        row("bias", "aten._scaled_mm", t(2, 3), narrow(FP8, 30, 6, DOUBLED, inputs=10, biased=6), self=t(2, 5, dtype=FP8), mat2=w(5, 3, dtype=FP8), bias=w(3)),
        # Rows of [2, 5] go to one [5, 3] each; columns of [2, 5] and rows of [5, 3] to one product a group.
        row("rows", "aten._grouped_mm", t(2, 3), layer(30, 6, inputs=10), self=t(2, 5), mat2=w(7, 5, 3)),
        row("columns", "aten._grouped_mm", t(7, 2, 3), layer(30, 42, inputs=10, weighted=False), self=t(2, 5), mat2=t(5, 3)),
        row("groups-of-columns", "aten._grouped_mm", t(2, 21), layer(210, 42, inputs=70), self=t(7, 2, 5), mat2=w(5, 21)),
        row("rows", "transformers.grouped_mm_fallback", t(2, 3), layer(30, 6, inputs=10), input=t(2, 5), weight=w(7, 5, 3)),
        row("", "aten._weight_int8pack_mm", t(2, 3), layer(30, 6, scaled(6), inputs=10), self=t(2, 5), mat2=w(3, 5, dtype=INT8)),
        row("", "aten._weight_int4pack_mm", t(2, 3), layer(30, 6, OpCounts.of("fp32", mul=15, add=15), inputs=10), self=t(2, 5), mat2=w(3, 3)),
        # Blocks of 2 of 5 inputs are three.
        row("blocks", "aten._dyn_quant_matmul_4bit", t(2, 3), narrow(INT8, 30, 6, ROUNDED * 10 + scaled(18), inputs=10), inp=t(2, 5), block_size=2),
        row("whole", "aten._dyn_quant_matmul_4bit", t(2, 3), narrow(INT8, 30, 6, ROUNDED * 10 + scaled(6), inputs=10), inp=t(2, 5), block_size=0),
        row("", "aten.quantize_per_tensor", t(2, 5, dtype="quint8"), OperatorWork(other=ROUNDED * 10), self=t(2, 5)),
        row("", "aten.dequantize", t(2, 5), ops(add=10, mul=10), self=t(2, 5, dtype="quint8")),
        row("", "aten.fake_quantize_per_tensor_affine", t(2, 5), ops(mul=20, add=30, compare=20), self=t(2, 5)),
        # Two operands brought back (a difference and a product each), their sum, and its code.
        row("", "quantized.add", t(2, 5, dtype="quint8"), ops(add=10 * (2 + 1 + 2), mul=10 * (2 + 1), compare=20), qa=t(2, 5), qb=t(2, 5)),
        row("", "quantized.mul_relu", t(2, 5, dtype="quint8"), ops(add=10 * (2 + 2), mul=10 * (2 + 1 + 1), compare=30), qa=t(2, 5), qb=t(2, 5)),
        row("", "quantized.linear", t(2, 3), narrow("int8", 30, 6, OpCounts.of("fp32", mul=6, add=6), inputs=10, biased=6), X=t(2, 5, dtype="uint8"), W_prepack=(w(3, 5, dtype=INT8), w(3))),
        row("", "quantized.linear_relu", t(2, 3), narrow("int8", 30, 6, OpCounts.of("fp32", mul=6, add=6) + OpCounts.of("int32", compare=6), inputs=10, biased=6), X=t(2, 5, dtype="uint8"), W_prepack=(w(3, 5, dtype=INT8), w(3))),
        row("", "quantized.linear_dynamic", t(2, 3), narrow("int8", 30, 6, OpCounts.of("fp32", mul=6, add=6) + ROUNDED * 10, inputs=10, biased=6), X=t(2, 5), W_prepack=(w(3, 5, dtype=INT8), w(3))),
        row("", "quantized.conv2d", t(2, 4, 3, 5), narrow("int8", 120 * 54, 120, OpCounts.of("fp32", mul=120, add=120), inputs=420, biased=120), qx=t(2, 6, 5, 7, dtype="uint8"), packed_weight=w(4, 6, 3, 3, dtype=INT8)),
        row("", "quantized.conv2d_add_relu", t(2, 4, 3, 5), narrow("int8", 120 * 54, 120, OpCounts.of("fp32", mul=120, add=120) + OpCounts.of("int32", add=120, compare=120), inputs=420, biased=120), qx=t(2, 6, 5, 7, dtype="uint8"), packed_weight=w(4, 6, 3, 3, dtype=INT8)),
    ],
)  # fmt: skip
def test_products_of_narrow_numbers(op: str, out: Any, args: dict[str, Any], expected: OperatorWork) -> None:
    assert work(op, out, **args) == expected


def einsum(equation: str, *tensors: TensorSpec) -> OperatorWork:
    return work("aten.einsum", t(1), equation=equation, tensors=tensors)


@pytest.mark.parametrize(
    ("equation", "shapes", "sites", "other"),
    [
        pytest.param("ij,jk->ik", [(2, 3), (3, 5)], [(30, 10)], {}, id="matrices"),
        pytest.param("ij,jk", [(2, 3), (3, 5)], [(30, 10)], {}, id="without-an-arrow"),
        pytest.param("ij,jk->", [(2, 3), (3, 5)], [(30, 1)], {}, id="to-a-number"),
        pytest.param("i,j->ij", [(2,), (3,)], [], {"mul": 6}, id="outer"),
        pytest.param("ij,ij->ij", [(2, 3), (1, 3)], [], {"mul": 6}, id="broadcast"),
        pytest.param("ij->i", [(2, 3)], [], {"add": 4}, id="sum"),
        pytest.param("ij->ji", [(2, 3)], [], {}, id="transpose"),
        pytest.param("ij->i", [(0, 3)], [], {}, id="nothing"),
        pytest.param("ij,jk->ik", [(0, 3), (3, 5)], [(0, 0)], {}, id="no-rows"),
        pytest.param("ij,jk,kl->il", [(2, 3), (3, 5), (5, 7)], [(30, 10), (70, 14)], {}, id="three"),
        pytest.param("i,ij,j->", [(2,), (2, 3), (3,)], [(6, 3), (3, 1)], {}, id="three-to-a-number"),
        pytest.param("...ij,...jk->...ik", [(7, 2, 3), (7, 3, 5)], [(210, 70)], {}, id="ellipsis"),
        pytest.param("b...i,i->b...", [(2, 7, 3), (3,)], [(42, 14)], {}, id="ellipsis-between"),
        pytest.param("ij, jk -> ik", [(2, 3), (3, 5)], [(30, 10)], {}, id="spaces"),
    ],
)
def test_einsum(
    equation: str, shapes: list[tuple[int, ...]], sites: list[tuple[int, int]], other: dict[str, int]
) -> None:
    found = einsum(equation, *(t(*shape) for shape in shapes))
    assert [(site.count, site.outputs) for site in found.sites] == sites
    assert found.other == OpCounts.of("fp32", **other)


def test_an_einsum_with_a_weight_is_a_layer() -> None:
    (site,) = einsum("ij,jk->ik", t(2, 3), w(3, 5)).sites
    assert (site.inputs, site.weighted) == (6, True)
    (site,) = einsum("ij,jk->ik", t(2, 3), t(3, 5)).sites
    assert (site.inputs, site.weighted) == (6, False)
    # The second product has the sums of the first as its inputs; of two weights they are no layer's.
    both = einsum("ij,jk,kl->il", t(2, 3), w(3, 5), w(5, 7)).sites
    assert [(site.inputs, site.weighted) for site in both] == [(6, True), (10, True)]
    later = einsum("ij,jk,kl->il", w(2, 3), w(3, 5), t(5, 7)).sites
    assert [(site.inputs, site.weighted) for site in later][1] == (35, True)


@pytest.mark.parametrize("ratio", [0, -1])
def test_regions_without_a_number_of_samples_are_not_counted(ratio: int) -> None:
    align = call("torchvision.roi_align", t(2, 3, 5, 7), input=t(1, 3, 9, 9), sampling_ratio=ratio)
    assert RULES["torchvision.roi_align"](align) is None
    back = call("torchvision._roi_align_backward", t(1, 3, 9, 9), grad=t(2, 3, 5, 7), sampling_ratio=ratio)
    assert RULES["torchvision._roi_align_backward"](back) is None


CELLS = {
    # Operations of one hidden unit: its sigmoids are a negation, an exponential, an addition and a division.
    "aten.lstm": (4, {"transcendental": 3 + 2, "add": 3 * 2 + 1 + 4, "mul": 3, "divide": 3}),
    "aten.gru": (3, {"transcendental": 2 + 1, "add": 2 * 2 + 1 + 2 + 2, "mul": 2, "divide": 2}),
    "aten.rnn_tanh": (1, {"transcendental": 1, "add": 1}),
    "aten.rnn_relu": (1, {"compare": 1, "add": 1}),
}


@pytest.mark.parametrize("op", CELLS)
def test_recurrent_layers(op: str) -> None:
    """Six steps (three of two sequences) of 5 inputs and 7 hidden units."""
    gates, element = CELLS[op]
    rows = gates * 7
    one = (w(rows, 5), w(rows, 7), w(rows), w(rows))
    expected = layer(
        6 * rows * 12, 6 * 2 * rows, OpCounts.of("fp32", **element) * (6 * 7), inputs=30, biased=6 * 2 * rows
    )
    assert work(op, t(3, 2, 7), input=t(3, 2, 5), params=one) == expected
    two = (*one, w(rows, 5), w(rows, 7), w(rows), w(rows))
    both = work(op, t(3, 2, 14), data=t(3, 2, 5), params=two, bidirectional=True, num_layers=1)
    assert both.other == expected.other * 2
    assert [(site.count, site.outputs) for site in both.sites] == [(2 * 6 * rows * 12, 4 * 6 * rows)]
    deep = (*one, w(rows, 7), w(rows, 7))
    found = work(op, t(3, 2, 7), input=t(3, 2, 5), params=deep, num_layers=2)
    assert found.other == expected.other * 2
    assert [site.biased for site in found.sites] == [6 * 2 * rows]


def ctc(**args: Any) -> OpCounts:
    return work("aten._ctc_loss", t(2), **args).other


def test_ctc_by_targets_of_unknown_lengths() -> None:
    """Five steps after the first; three sequences of at most four symbols have nine states each."""
    cell = OpCounts.of("fp32", compare=2, add=7, transcendental=4)
    assert ctc(log_probs=t(6, 3, 5), targets=t(3, 4), target_lengths=t(3)) == cell * (5 * 3 * 9)
    # Eight symbols one after the other: three each at least for some.
    assert ctc(log_probs=t(6, 3, 5), targets=t(8), target_lengths=t(3)) == cell * (5 * 3 * 7)
    assert ctc(log_probs=t(6, 5), targets=t(4), target_lengths=t(1)) == cell * (5 * 9)
    assert not ctc(log_probs=t(1, 3, 5), targets=t(3, 4), target_lengths=t(3))


@pytest.mark.parametrize("bias", [None, w(7)], ids=["bare", "bias"])
def test_a_loss_with_its_linear_layer(bias: Any) -> None:
    """Six rows of five, seven classes: 42 sums of 5; a log-softmax of seven and a negation a row; their mean."""
    op = "torch_nn._linear_cross_entropy_batch_chunked"
    args = {"input": t(6, 5), "linear_weight": w(7, 5), "target": t(6, dtype="int64"), "linear_bias": bias}
    softmax = OpCounts.of("fp32", compare=36, add=6 * (7 + 6 + 1 + 7) + 6, transcendental=6 * 8)
    biased = 42 if bias else 0
    mean = OpCounts.of("fp32", add=5, divide=1)
    assert work(op, t(), **args) == layer(210, 42, softmax + mean, inputs=30, biased=biased)
    assert work(op, t(6), **args) == layer(210, 42, softmax, inputs=30, biased=biased)
