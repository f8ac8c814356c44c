"""TFLite graphs: counts derived by hand, damaged files refused in one line. Needs no torch."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from addercost.cli import run
from addercost.counts.model import ModelCounts, count
from addercost.errors import AddercostError, ArgumentError, DataError
from addercost.trace.input_shapes import InputShape
from addercost.trace.tflite.tracer import trace_tflite
from tests.trace.tflite.graphs import Graph, Op, Tensor

RELU, RELU6 = 1, 3
CONV = ("Conv2DOptions", {"StrideH": 1, "StrideW": 1, "FusedActivationFunction": RELU})
PLAIN_CONV = ("Conv2DOptions", {"StrideH": 1, "StrideW": 1})


def counted(graph: Graph, folder: Path, convention: str = "full") -> ModelCounts:
    return count(trace_tflite(graph.write(folder)), convention)


def by_format(counts: ModelCounts) -> dict[str, dict[str, int]]:
    return {name: dict(classes) for name, classes in counts.total.by_format().items()}


def conv(dtype: str, options: tuple[str, dict[str, int]] = PLAIN_CONV, bias: str = "INT32") -> Graph:
    """5x6 pixels of 3 channels, 4 filters of 3x3: 3x4 outputs of 4 channels, 48; sums of 27, 1,296 sites."""
    return Graph(
        (
            Tensor("in", (1, 5, 6, 3), dtype),
            Tensor("conv/weights", (4, 3, 3, 3), dtype, weights=108),
            Tensor("conv/bias", (4,), bias, weights=16),
            Tensor("conv/out", (1, 3, 4, 4), dtype),
        ),
        (Op("CONV_2D", (0, 1, 2), (3,), options),),
    )


def test_an_integer_convolution(tmp_path: Path) -> None:
    """Products of int8, sums of 27 and a bias in int32; an output is scaled, and rounded by an addition."""
    counts = counted(conv("INT8"), tmp_path)
    assert by_format(counts) == {
        "int8": {"mul": 1296},
        "int32": {"add": 1296 - 48 + 48},
        "fp32": {"mul": 48, "add": 48},
    }
    assert counts.complete and counts.parameters == 108 + 4
    (layer,) = counts.layers
    assert (layer.path, layer.type, layer.output_shape) == ("conv.out", "CONV_2D", (1, 4, 3, 4))
    # 90 inputs, 108 weights of a byte and 4 biases of four are read, 48 bytes written.
    assert (layer.bytes_read, layer.bytes_written) == (90 + 108 + 16, 48)


def test_a_convolution_of_floats_with_its_activation(tmp_path: Path) -> None:
    """The activation is a comparison an output and moves no bytes of its own."""
    counts = counted(conv("FLOAT32", CONV, "FLOAT32"), tmp_path)
    assert by_format(counts) == {"fp32": {"mul": 1296, "add": 1296 - 48 + 48, "compare": 48}}
    (layer,) = counts.layers
    assert (layer.bytes_read, layer.bytes_written) == (4 * (90 + 108 + 4), 4 * 48)


def test_a_convolution_of_16_bit_numbers(tmp_path: Path) -> None:
    graph = conv("INT8", PLAIN_CONV, "INT64")
    wide = [Tensor(t.name, t.shape, "INT16") if t.name in ("in", "conv/out") else t for t in graph.tensors]
    counts = counted(Graph(wide, graph.operators), tmp_path)
    assert counts.total.by_format()["int16"] == {"mul": 1296}
    assert counts.mac_sites == 1296


def test_integer_weights_of_a_network_of_floats(tmp_path: Path) -> None:
    """The kernel rounds its 90 inputs to int8 at run time: each is scaled, rounded by two additions, and
    kept in range by two comparisons."""
    graph = conv("INT8", PLAIN_CONV, "FLOAT32")
    floats = [
        Tensor(t.name, t.shape, "FLOAT32") if t.name in ("in", "conv/out") else t for t in graph.tensors
    ]
    counts = counted(Graph(floats, graph.operators), tmp_path)
    assert counts.mac_sites == 1296
    assert counts.total.by_format()["int8"] == {"mul": 1296}


SITES = {
    # 5x5 outputs of 6 channels, each a sum of 9 products.
    "depthwise": (
        Graph(
            (
                Tensor("x", (1, 5, 5, 3)),
                Tensor("w", (1, 3, 3, 6), weights=54),
                Tensor("y", (1, 5, 5, 6)),
            ),
            (Op("DEPTHWISE_CONV_2D", (0, 1, -1), (2,)),),
        ),
        5 * 5 * 6 * 9,
    ),
    # Every one of 4·4·3 inputs is multiplied by 2 filters of 2x2.
    "transposed": (
        Graph(
            (
                Tensor("sizes", (4,), "INT32", weights=16),
                Tensor("w", (2, 2, 2, 3), weights=24),
                Tensor("x", (1, 4, 4, 3)),
                Tensor("y", (1, 8, 8, 2)),
            ),
            (Op("TRANSPOSE_CONV", (0, 1, 2), (3,), ("TransposeConvOptions", {"StrideH": 2, "StrideW": 2})),),
            inputs=(2,),
        ),
        4 * 4 * 3 * 2 * 4,
    ),
    # Groups of 2 of 4 channels: 3x3 outputs of 6 filters, each of 2 products.
    "grouped": (
        Graph(
            (
                Tensor("x", (1, 3, 3, 4)),
                Tensor("w", (6, 1, 1, 2), weights=12),
                Tensor("y", (1, 3, 3, 6)),
            ),
            (Op("CONV_2D", (0, 1), (2,), PLAIN_CONV),),
        ),
        3 * 3 * 6 * 2,
    ),
    # 2 rows of 12 into 5.
    "fully connected": (
        Graph(
            (
                Tensor("x", (2, 3, 4)),
                Tensor("w", (5, 12), weights=60),
                Tensor("b", (5,), "INT32", weights=20),
                Tensor("y", (2, 5)),
            ),
            (Op("FULLY_CONNECTED", (0, 1, 2), (3,)),),
        ),
        2 * 12 * 5,
    ),
    # Seven products of [3, 4] by [4, 5], the second given as [5, 4].
    "product of activations": (
        Graph(
            (Tensor("a", (7, 3, 4)), Tensor("b", (7, 5, 4)), Tensor("y", (7, 3, 5))),
            (Op("BATCH_MATMUL", (0, 1), (2,), ("BatchMatMulOptions", {"AdjY": 1})),),
            inputs=(0, 1),
        ),
        7 * 3 * 4 * 5,
    ),
    # 6 filters of rank 2 over 10 inputs, and a memory of 8 steps each.
    "keyword spotting (SVDF)": (
        Graph(
            (
                Tensor("x", (1, 10)),
                Tensor("features", (6, 10), weights=60),
                Tensor("time", (6, 8), weights=48),
                Tensor("b", (3,), "INT32", weights=12),
                Tensor("state", (1, 48)),
                Tensor("y", (1, 3)),
            ),
            (Op("SVDF", (0, 1, 2, 3, 4), (5,), ("SVDFOptions", {"Rank": 2})),),
        ),
        6 * 10 + 6 * 8,
    ),
}


@pytest.mark.parametrize(("graph", "sites"), SITES.values(), ids=SITES)
@pytest.mark.parametrize("dtype", ["INT8", "FLOAT32"])
def test_sites(graph: Graph, sites: int, dtype: str, tmp_path: Path) -> None:
    made = [t if t.dtype == "INT32" else Tensor(t.name, t.shape, dtype, t.weights) for t in graph.tensors]
    counts = counted(Graph(made, graph.operators, graph.inputs), tmp_path, "macs")
    assert counts.complete
    assert counts.mac_sites == sites
    narrow = {"int8", "int32"} if dtype == "INT8" else {"fp32"}
    assert set(counts.total.by_format()) == narrow


def chain(op: str, shapes: tuple[tuple[int, ...], ...], dtype: str, options: object = None) -> Graph:
    tensors = [Tensor(f"t{i}", shape, dtype) for i, shape in enumerate(shapes)]
    last = len(shapes) - 1
    return Graph(
        tensors,
        (Op(op, tuple(range(last)), (last,), options),),  # type: ignore[arg-type]
        inputs=tuple(range(last)),
    )


POOL = ("Pool2DOptions", {"StrideH": 2, "StrideW": 2, "FilterHeight": 2, "FilterWidth": 2})
OTHERS = {
    # Three comparisons an output of four.
    "max pool": (chain("MAX_POOL_2D", ((1, 4, 4, 2), (1, 2, 2, 2)), "INT8", POOL), {"int8": {"compare": 24}}),
    # A table of 256 answers for every int8: no arithmetic.
    "sigmoid of int8": (chain("LOGISTIC", ((1, 9), (1, 9)), "INT8"), {}),
    "relu6": (chain("RELU6", ((3, 3), (3, 3)), "FLOAT32"), {"fp32": {"compare": 18}}),
    "a view": (chain("RESHAPE", ((3, 4), (12,)), "FLOAT32"), {}),
    "padding": (chain("PAD", ((3, 4), (5, 6)), "INT8"), {}),
    "sum of two": (chain("ADD", ((2, 3), (2, 3), (2, 3)), "FLOAT32"), {"fp32": {"add": 6}}),
    "mean": (chain("MEAN", ((1, 3, 4), (1, 4)), "FLOAT32"), {"fp32": {"add": 8, "divide": 4}}),
}


@pytest.mark.parametrize(("graph", "expected"), OTHERS.values(), ids=OTHERS)
def test_other_operators(graph: Graph, expected: dict[str, dict[str, int]], tmp_path: Path) -> None:
    counts = counted(graph, tmp_path)
    assert counts.complete
    assert by_format(counts) == expected


@pytest.mark.parametrize(
    ("op", "name"),
    [
        (Op("LSH_PROJECTION", (0,), (1,)), "tflite.LSH_PROJECTION"),
        (Op("CUSTOM", (0,), (1,), custom="Evil\x1b[31m; rm"), "tflite.custom_Evil__31m__rm"),
    ],
    ids=["no rule", "custom"],
)
def test_an_unknown_operator_makes_a_lower_bound(op: Op, name: str, tmp_path: Path) -> None:
    graph = Graph((Tensor("x", (2, 2)), Tensor("y", (2, 2))), (op,))
    counts = counted(graph, tmp_path)
    assert not counts.complete
    assert [item.op for item in counts.uncounted] == [name]


def test_weights_in_half_precision_are_widened_once(tmp_path: Path) -> None:
    """The runtime does so when it loads the model. 2 rows of 3 into 4: 24 products."""
    graph = Graph(
        (
            Tensor("x", (2, 3), "FLOAT32"),
            Tensor("half", (4, 3), "FLOAT16", weights=24),
            Tensor("w", (4, 3), "FLOAT32"),
            Tensor("y", (2, 4), "FLOAT32"),
        ),
        (Op("DEQUANTIZE", (1,), (2,)), Op("FULLY_CONNECTED", (0, 2, -1), (3,))),
    )
    counts = counted(graph, tmp_path)
    assert by_format(counts) == {"fp32": {"mul": 24, "add": 16}}
    assert counts.parameters == 12 and counts.unused_parameters == 0


def test_memory_is_that_of_the_tensors_in_use(tmp_path: Path) -> None:
    """A conversion's input of 8 bytes and output of 32; then its view, which is the same memory, and an
    output of 32."""
    from addercost.counts.peak_memory import memory_of

    graph = Graph(
        (
            Tensor("x", (1, 8)),
            Tensor("a", (1, 8), "FLOAT32"),
            Tensor("b", (8,), "FLOAT32"),
            Tensor("y", (8,), "FLOAT32"),
        ),
        (Op("DEQUANTIZE", (0,), (1,)), Op("RESHAPE", (1,), (2,)), Op("ABS", (2,), (3,))),
    )
    memory = memory_of(trace_tflite(graph.write(tmp_path)), None)
    assert memory is not None
    # The input is the caller's and stays.
    assert memory.peak_bytes == 8 + 32 + 32


def test_the_command_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", str(conv("INT8").write(tmp_path)), "--convention", "macs"]) == 0
    assert "1,296 MAC sites, 112 parameters" in capsys.readouterr().out


def test_other_sizes_are_refused(tmp_path: Path) -> None:
    path = conv("INT8").write(tmp_path)
    with pytest.raises(ArgumentError, match="in=1x5x6x3"):
        trace_tflite(path, (InputShape(None, (1, 8, 8, 3)),))
    assert trace_tflite(path, (InputShape("in", (1, 5, 6, 3)),)).inputs[0].shape == (1, 5, 6, 3)


def test_an_open_batch_is_said(tmp_path: Path) -> None:
    graph = Graph((Tensor("x", (1, 2), signature=(-1, 2)), Tensor("y", (1, 2))), (Op("ABS", (0,), (1,)),))
    assert any("leaves open" in note for note in counted(graph, tmp_path).notes)


DAMAGED = {
    "empty": b"",
    "another file": b"\x7fELF" * 20,
    "only the name": b"\x00\x00\x00\x00TFL3",
    "an offset beyond the end": struct.pack("<I", 1 << 30) + b"TFL3" + bytes(40),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_one_line(data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(data)
    assert run(["profile", str(path)]) == 6
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1


def test_every_truncation_is_refused_or_read(tmp_path: Path) -> None:
    data = conv("INT8").data()
    path = tmp_path / "cut.tflite"
    for end in range(0, len(data), 7):
        path.write_bytes(data[:end])
        with pytest.raises(DataError):
            trace_tflite(path)


def test_no_damage_leads_to_another_error(tmp_path: Path) -> None:
    """Four bytes of a good file, at random, replaced by sizes and offsets of all kinds."""
    data = conv("INT8", CONV).data()
    path = tmp_path / "hostile.tflite"
    choose = random.Random(0)
    numbers = (0, 1, 4, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0, len(data) - 4)
    refused = 0
    for _ in range(600):
        bad = bytearray(data)
        place = choose.randrange(8, len(data) - 4)
        bad[place : place + 4] = struct.pack("<I", choose.choice(numbers))
        path.write_bytes(bytes(bad))
        try:
            count(trace_tflite(path))
        except AddercostError:
            refused += 1
    assert refused > 100


def test_lists_that_share_bytes_end(tmp_path: Path) -> None:
    """A list that says it has as many elements as a huge file could have."""
    data = bytearray(conv("INT8").data())
    path = tmp_path / "long.tflite"
    length = struct.pack("<I", 1)
    for place in range(8, len(data) - 4, 4):
        if data[place : place + 4] == length:
            bad = data.copy()
            bad[place : place + 4] = struct.pack("<I", 0x7FFFFFFF)
            path.write_bytes(bytes(bad))
            try:
                trace_tflite(path)
            except AddercostError as error:
                assert len(str(error)) < 500
