"""What nodes of ONNX graphs compute: expected values are derivations from the shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.defs
import pytest

from addercost.api import trace_spec
from addercost.counts.call_work import rule_for
from addercost.counts.model import ModelCounts, count
from addercost.trace.onnx.control_flow import FOLLOWED
from addercost.trace.onnx.operators import TRANSLATORS
from tests.trace.onnx.graphs import FLOAT, INT64, UINT8, graph, integers, node, saved


@dataclass(frozen=True)
class Case:
    """A graph of a few nodes, and what it computes: sites, and other operations by class."""

    nodes: tuple[onnx.NodeProto, ...]
    inputs: Mapping[str, tuple[int, ...]]
    sites: int = 0
    constants: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, int] = field(default_factory=dict)
    opset: int = 21
    operations: Mapping[str, int] = field(default_factory=dict)
    outputs: str = "y"


def counted(case: Case, folder: Path) -> ModelCounts:
    made = graph(case.nodes, case.inputs, case.outputs, case.constants, case.types)
    return count(trace_spec(saved(made, folder, case.opset)))


CASES = {
    # y: [2, 4, 3, 3]: sums of 3·2·2 products, a bias each
    "convolution": Case(
        (node("Conv", "x w b", "y"),),
        {"x": (2, 3, 4, 4)},
        2 * 4 * 3 * 3 * 12,
        {"w": (4, 3, 2, 2), "b": (4,)},
        operations={"mul": 864, "add": 864 - 72 + 72},
    ),
    # stride 2, padding 1 on one side alone: (5 + 1 - 3)/2 + 1 = 2 rows; groups of 2 channels
    "grouped convolution": Case(
        (node("Conv", "x w", "y", group=2, strides=[2, 2], pads=[0, 0, 1, 1]),),
        {"x": (1, 4, 5, 5)},
        6 * 2 * 2 * (2 * 9),
        {"w": (6, 2, 3, 3)},
    ),
    # every one of 3·4·4 inputs meets 5·2·2 weights
    "transposed convolution": Case(
        (node("ConvTranspose", "x w", "y", strides=[2, 2]),),
        {"x": (1, 3, 4, 4)},
        48 * 20,
        {"w": (3, 5, 2, 2)},
    ),
    "one dimension": Case((node("Conv", "x w", "y"),), {"x": (1, 2, 9)}, 3 * 7 * 6, {"w": (3, 2, 3)}),
    # [5, 3]·[3, 7] through two transpositions, α = 2 scales and β·C is added
    "gemm": Case(
        (node("Gemm", "x w c", "y", transA=1, transB=1, alpha=2.0),),
        {"x": (3, 5)},
        5 * 3 * 7,
        {"w": (7, 3), "c": (7,)},
        operations={"mul": 105 + 35, "add": 105 - 35 + 35},
    ),
    "gemm without C": Case((node("Gemm", "x w", "y"),), {"x": (2, 3)}, 2 * 3 * 4, {"w": (3, 4)}),
    "matrix product of many rows": Case(
        (node("MatMul", "x w", "y"),), {"x": (2, 5, 3)}, 10 * 3 * 4, {"w": (3, 4)}
    ),
    "product of two inputs": Case(
        (node("MatMul", "x z", "y"),), {"x": (2, 5, 3), "z": (2, 3, 6)}, 2 * 5 * 3 * 6
    ),
    "einsum": Case(
        (node("Einsum", "x z", "y", equation="bij,bjk->bik"),),
        {"x": (2, 4, 3), "z": (2, 3, 5)},
        2 * 4 * 3 * 5,
    ),
    # 2 heads of 4: 3·7 scores of 4 products, 3 rows of 4 sums of 7
    "attention": Case(
        (node("Attention", "q k v", "y", q_num_heads=2, kv_num_heads=2),),
        {"q": (1, 3, 8), "k": (1, 7, 8), "v": (1, 7, 8)},
        2 * (3 * 7 * 4 + 3 * 4 * 7),
        opset=23,
    ),
    "attention after a cache": Case(
        (node("Attention", "q k v - pk pv", "y a b"),),
        {"q": (1, 2, 1, 4), "k": (1, 2, 1, 4), "v": (1, 2, 1, 4), "pk": (1, 2, 9, 4), "pv": (1, 2, 9, 4)},
        2 * (10 * 4 + 4 * 10),
        opset=23,
    ),
    # an LSTM of 3 inputs, 4 units, 5 steps of 2: 16·3 + 16·4 weights
    "lstm": Case(
        (node("LSTM", "x w r b", "y", hidden_size=4),),
        {"x": (5, 2, 3)},
        5 * 2 * (16 * 3 + 16 * 4),
        {"w": (1, 16, 3), "r": (1, 16, 4), "b": (1, 32)},
    ),
    "gru in both directions": Case(
        (node("GRU", "x w r", "y", hidden_size=4, direction="bidirectional"),),
        {"x": (5, 2, 3)},
        2 * 5 * 2 * (12 * 3 + 12 * 4),
        {"w": (2, 12, 3), "r": (2, 12, 4)},
    ),
    # element-wise and others: 6 elements
    "relu": Case((node("Relu", "x", "y"),), {"x": (2, 3)}, operations={"compare": 6}),
    "clip to one side": Case(
        (node("Clip", "x lo", "y"),),
        {"x": (2, 3)},
        constants={"lo": np.array(0.0, np.float32)},
        operations={"compare": 6},
    ),
    "square": Case(
        (node("Pow", "x two", "y"),),
        {"x": (2, 3)},
        constants={"two": np.array(2.0, np.float32)},
        operations={"mul": 6},
    ),
    "maximum of three": Case(
        (node("Max", "x z u", "y"),), {"x": (2, 3), "z": (2, 3), "u": (3,)}, operations={"compare": 12}
    ),
    "softmax of opset 12": Case(  # one row of 6 for each of 2
        (node("Softmax", "x", "y", axis=1),),
        {"x": (2, 2, 3)},
        opset=12,
        operations={"compare": 2 * 5, "add": 2 * 11, "transcendental": 12, "divide": 12},
    ),
    "softmax": Case(  # four rows of 3
        (node("Softmax", "x", "y"),),
        {"x": (2, 2, 3)},
        operations={"compare": 4 * 2, "add": 4 * 5, "transcendental": 12, "divide": 12},
    ),
    "global average": Case(
        (node("GlobalAveragePool", "x", "y"),), {"x": (1, 2, 3, 3)}, operations={"add": 2 * 8, "divide": 2}
    ),
    "maximum pool": Case(
        (node("MaxPool", "x", "y", kernel_shape=[2, 2], strides=[2, 2]),),
        {"x": (1, 2, 4, 4)},
        operations={"compare": 8 * 3},
    ),
    "euclidean norm": Case(
        (node("ReduceL2", "x", "y"),), {"x": (2, 3)}, operations={"mul": 6, "add": 5, "sqrt": 1}
    ),
    "views and casts": Case(
        (
            node("Reshape", "x shape", "a"),
            node("Transpose", "a", "b", perm=[1, 0]),
            node("Unsqueeze", "b zero", "c"),
            node("Cast", "c", "y", to=FLOAT),
        ),
        {"x": (2, 6)},
        constants={"shape": integers(3, 4), "zero": integers(0)},
    ),
    "parameters alone": Case(  # a product of two weights is derived, and no weighted site of the input
        (node("MatMul", "w v", "d"), node("MatMul", "x d", "y")),
        {"x": (1, 10)},
        10 * 13 * 7 + 10 * 7,
        {"w": (10, 13), "v": (13, 7)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_counts(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    counts = counted(case, tmp_path)
    assert counts.complete
    assert counts.mac_sites == case.sites
    if case.operations or not case.sites:
        assert {c: n for c, n in counts.total.by_class().items() if n} == case.operations


INTEGERS = {
    # q(x)·q(w): [1, 4, 3, 3] sums of 3·2·2 int8 products, brought back by one factor each
    "convolution between dequantised numbers": (
        (
            node("QuantizeLinear", "x s z", "q"),
            node("DequantizeLinear", "q s z", "f"),
            node("DequantizeLinear", "w s wz", "g"),
            node("Conv", "f g", "c"),
            node("QuantizeLinear", "c s z", "d"),
            node("DequantizeLinear", "d s z", "y"),
        ),
        36 * 12,
    ),
    "quantised convolution": (
        (
            node("QuantizeLinear", "x s z", "q"),
            node("QLinearConv", "q s z w s wz s z", "d"),
            node("DequantizeLinear", "d s z", "y"),
        ),
        36 * 12,
    ),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_have_their_width(name: str, tmp_path: Path) -> None:
    """x: [1, 3, 4, 4] is quantised (48 times a factor, an offset and a rounding, two bounds); 36 sums are
    brought back to bytes; 36 results become floats again. Both ways of writing it count the same.
    """
    nodes, sites = INTEGERS[name]
    constants = {
        "w": np.ones((4, 3, 2, 2), np.int8),
        "s": np.array(0.1, np.float32),
        "z": np.array(3, np.uint8),
        "wz": np.array(0, np.int8),
    }
    counts = counted(Case(nodes, {"x": (1, 3, 4, 4)}, constants=constants), tmp_path)
    by_format = {(c.value, f): n for c, f, n in counts.total}
    assert counts.mac_sites == sites and counts.complete
    assert by_format["mul", "int8"] == sites
    assert by_format["mul", "fp32"] == 48 + 36 + 36
    assert ("mul", "int32") not in by_format


def test_integer_products_keep_their_zero_points(tmp_path: Path) -> None:
    """A zero point that is not 0 is subtracted from each of 6 inputs; one that is 0 is not."""
    case = Case(
        (node("MatMulInteger", "x w z wz", "y"),),
        {"x": (2, 3)},
        constants={"w": np.ones((3, 4), np.int8), "z": np.array(7, np.uint8), "wz": np.array(0, np.int8)},
        types={"x": UINT8, "y": INT64},
    )
    counts = counted(case, tmp_path)
    assert counts.mac_sites == 2 * 3 * 4
    assert {f: n for c, f, n in counts.total if c.value == "add"}["uint8"] == 6


def test_weights_of_four_bits(tmp_path: Path) -> None:
    """ONNX Runtime's product: 8·16 weights of 4 bits take a scale and a zero point each."""
    case = Case(
        (node("MatMulNBits", "x w s", "y", domain="com.microsoft", K=8, N=16, bits=4, block_size=16),),
        {"x": (2, 8)},
        constants={"w": np.ones((16, 1, 8), np.uint8), "s": (16,)},
    )
    counts = counted(case, tmp_path)
    assert counts.mac_sites == 2 * 8 * 16
    assert counts.total.by_class()["mul"] == 256 + 128


def test_weights_are_parameters_and_statistics_are_not(tmp_path: Path) -> None:
    """A batch norm's mean and variance are buffers: 4·3·2·2 + 4 + 4 parameters."""
    case = Case(
        (node("Conv", "x w", "c"), node("BatchNormalization", "c g b m v", "y")),
        {"x": (1, 3, 4, 4)},
        constants={"w": (4, 3, 2, 2), "g": (4,), "b": (4,), "m": (4,), "v": (4,)},
    )
    made = graph(case.nodes, case.inputs, "y", case.constants)
    trace = trace_spec(saved(made, tmp_path))
    assert trace.parameters == {"w": 48, "g": 4, "b": 4}
    assert [spec.role for spec in trace.calls[1].tensors()] == [
        "activation",
        "parameter",
        "parameter",
        "buffer",
        "buffer",
    ]


def test_weights_in_constant_nodes_are_parameters(tmp_path: Path) -> None:
    """Some exporters write weights so, and adder layers replace products with parameters alone."""
    weight = onnx.numpy_helper.from_array(np.ones((10, 20), np.float32))
    made = graph([node("Constant", "", "w", value=weight), node("MatMul", "x w", "y")], {"x": (3, 10)})
    trace = trace_spec(saved(made, tmp_path))
    assert trace.parameters == {"w": 200}
    # A convention of MACs counts 600 subtractions and 600 additions to the sums.
    assert count(trace, "macs", arithmetic="adder").total.by_class()["add"] == 2 * 3 * 10 * 20
    assert not count(trace, "macs", arithmetic="adder").total.by_class().get("mul")


UNCOUNTED = {
    "CausalConvWithState", "ConcatFromSequence", "DFT", "GlobalLpPool", "BlackmanWindow", "HammingWindow",
    "HannWindow", "ImageDecoder", "LinearAttention", "LpPool", "MelWeightMatrix",
    "NegativeLogLikelihoodLoss", "Optional", "OptionalGetElement", "OptionalHasElement", "RegexFullMatch",
    "STFT", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert",
    "SequenceLength", "SequenceMap", "SoftmaxCrossEntropyLoss", "SplitToSequence", "StringConcat",
    "StringNormalizer", "StringSplit", "SwiGLU", "TfIdfVectorizer",
}  # fmt: skip
"""Operators that no translator knows. A graph with one is a lower bound."""


def test_every_operator_of_the_standard_is_known_or_on_the_list() -> None:
    standard = {s.name for s in onnx.defs.get_all_schemas() if s.domain == "" and not s.deprecated}
    known = {op for domain, op in TRANSLATORS if not domain} | set(FOLLOWED) | {"Identity", "Dropout"}
    assert standard - known == UNCOUNTED & standard
    assert not UNCOUNTED & known


def test_calls_have_rules(tmp_path: Path) -> None:
    for name, case in CASES.items():
        made = graph(case.nodes, case.inputs, case.outputs, case.constants, case.types)
        for call in trace_spec(saved(made, tmp_path, case.opset)).calls:
            assert rule_for(call.name, call.tags) is not None, (name, call.op)


def test_an_unknown_operator_makes_a_lower_bound(tmp_path: Path) -> None:
    case = Case((node("LpPool", "x", "a", kernel_shape=[2, 2]), node("Relu", "a", "y")), {"x": (1, 2, 4, 4)})
    counts = counted(case, tmp_path)
    assert [(op.op, op.calls) for op in counts.uncounted] == [("onnx.LpPool", 1)]
    assert counts.total.by_class()["compare"] == 1 * 2 * 3 * 3  # what follows counts
