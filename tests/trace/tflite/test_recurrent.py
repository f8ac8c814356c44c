"""Layers with a state in TFLite files, against loops over numbers that count what is done with them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from addercost.counts.model import ModelCounts, count
from addercost.trace.tflite.tracer import trace_tflite
from tests.counts.scalar import SITES, Number, exp, site, sqrt, transcendental
from tests.trace.tflite.graphs import Graph, Op, Tensor

STEPS, BATCH, INPUTS, FURTHER, CELLS, OUTPUTS = 3, 2, 4, 5, 3, 2
TANH, RELU6 = 4, 3
tanh = transcendental(math.tanh)


@dataclass(frozen=True)
class Kind:
    """coupled: no input gate. outputs: of a projection; 0 for none."""

    coupled: bool = False
    peephole: bool = False
    outputs: int = 0
    projection_bias: bool = False
    norm: bool = False
    clip: bool = False
    activation: int = TANH
    further: int = 0

    @property
    def width(self) -> int:
        return self.outputs or CELLS

    def weights(self, name: str) -> list[Tensor | None]:
        """The tensors of one direction up to the projection's bias, in the file's order."""
        i = 1 if self.coupled else 0

        def made(kind: str, shape: tuple[int, ...], there: bool = True) -> Tensor | None:
            return Tensor(f"{name}{kind}", shape, "FLOAT32", 4 * math.prod(shape)) if there else None

        gates = range(4)
        return [
            *(made(f"w{g}", (CELLS, INPUTS), g >= i) for g in gates),
            *(made(f"r{g}", (CELLS, self.width), g >= i) for g in gates),
            *(made(f"p{g}", (CELLS,), self.peephole and not (g == 0 and self.coupled)) for g in range(3)),
            *(made(f"b{g}", (CELLS,), g >= i) for g in gates),
            made("projection", (self.outputs, CELLS), self.outputs > 0),
            made("projection bias", (self.outputs,), self.projection_bias),
        ]

    def norms(self) -> list[Tensor | None]:
        if not self.norm:
            return []
        return [
            Tensor(f"n{g}", (CELLS,), "FLOAT32", 4 * CELLS) if g or not self.coupled else None
            for g in range(4)
        ]

    def further_weights(self, name: str) -> list[Tensor | None]:
        return [
            Tensor(f"{name}a{g}", (CELLS, self.further), "FLOAT32", 4 * CELLS * self.further)
            if g or not self.coupled
            else None
            for g in range(4)
        ]


def graph_of(
    op: str,
    given: list[Tensor | None],
    outputs: list[Tensor],
    options: tuple[str, dict[str, Any]],
) -> Graph:
    tensors = [tensor for tensor in given if tensor is not None]
    places = iter(range(len(tensors)))
    inputs = [next(places) if tensor is not None else -1 for tensor in given]
    first = len(tensors)
    made = tuple(range(first, first + len(outputs)))
    return Graph((*tensors, *outputs), (Op(op, inputs, made, options),), outputs=made)


def counted(graph: Graph, folder: Path) -> ModelCounts:
    counts = count(trace_tflite(graph.write(folder)))
    assert counts.complete, counts.uncounted
    assert counts.unused_parameters == 0
    return counts


def tally_of(compute: Callable[[Callable[..., Any]], object]) -> Counter[str]:
    """What `compute` does with the vectors and matrices that its argument makes."""
    tally: Counter[str] = Counter()

    def numbers(*shape: int) -> Any:
        if not shape:
            return Number(0.5, tally)
        return [numbers(*shape[1:]) for _ in range(shape[0])]

    compute(numbers)
    return tally


def dot(weights: list[Any], x: list[Any]) -> Any:
    products = [site(a, w) for a, w in zip(x, weights, strict=True)]
    made = products[0]
    for product in products[1:]:
        made = made + product
    return made


def sigmoid(a: Any) -> Any:
    return 1 / (1 + exp(-a))


def clamped(a: Any) -> Any:
    least = a if a > -9 else Number(-9, a.tally)
    return least if least < 9 else Number(9, a.tally)


FUNCTIONS: dict[int, Callable[[Any], Any]] = {0: lambda a: a, TANH: tanh, RELU6: clamped}


def normalized(values: list[Any], scale: list[Any]) -> list[Any]:
    n = len(values)
    mean = sum(values[1:], values[0]) / n
    less = [a - mean for a in values]
    squares = [a * a for a in less]
    r = 1 / sqrt(sum(squares[1:], squares[0]) / n + 1e-8)
    return [a * r * s for a, s in zip(less, scale, strict=True)]


def lstm_by_hand(kind: Kind, numbers: Callable[..., Any]) -> None:
    """As TensorFlow Lite defines the operator, one number after the other."""
    activation = FUNCTIONS[kind.activation]
    gates = (1, 2, 3) if kind.coupled else (0, 1, 2, 3)
    w, r, a = ({g: numbers(CELLS, n) for g in gates} for n in (INPUTS, kind.width, kind.further or 1))
    p, b, s = ({g: numbers(CELLS) for g in gates} for _ in range(3))
    for _ in range(BATCH):
        h, c = numbers(kind.width), numbers(CELLS)
        for _ in range(STEPS):
            x, more = numbers(INPUTS), numbers(kind.further)

            def gate(g: int, c: Any, x: Any = x, more: Any = more, h: Any = h) -> list[Any]:
                sums = [dot(w[g][i], x) + dot(r[g][i], h) for i in range(CELLS)]
                if kind.further:
                    sums = [total + dot(a[g][i], more) for i, total in enumerate(sums)]
                if kind.peephole and g != 2:
                    sums = [total + p[g][i] * c[i] for i, total in enumerate(sums)]
                if kind.norm:
                    sums = normalized(sums, s[g])
                sums = [total + b[g][i] for i, total in enumerate(sums)]
                return [activation(total) if g == 2 else sigmoid(total) for total in sums]

            f, cell = gate(1, c), gate(2, c)
            i = [1 - value for value in f] if kind.coupled else gate(0, c)
            c = [f[n] * c[n] + i[n] * cell[n] for n in range(CELLS)]
            if kind.clip:
                c = [clamped(value) for value in c]
            o = gate(3, c)
            h = [o[n] * activation(c[n]) for n in range(CELLS)]
            if kind.outputs:
                weights, bias = numbers(kind.outputs, CELLS), numbers(kind.outputs)
                h = [dot(weights[n], h) for n in range(kind.outputs)]
                if kind.projection_bias:
                    h = [h[n] + bias[n] for n in range(kind.outputs)]
                if kind.clip:
                    h = [clamped(value) for value in h]


def same(counts: ModelCounts, tally: Counter[str], times: int = 1) -> None:
    found = counts.total.by_format()
    assert set(found) == {"fp32"}
    assert counts.mac_sites == times * tally.pop(SITES)
    assert {str(k): n for k, n in found["fp32"].items()} == {k: times * n for k, n in tally.items()}


KINDS = [
    Kind(*flags, clip=clip, norm=norm, activation=activation)  # type: ignore[misc]
    for flags, clip, norm, activation in zip(
        itertools.product((False, True), (False, True), (0, OUTPUTS), (False, True)),
        itertools.cycle((False, True, True)),
        itertools.cycle((False, False, True, True, False)),
        itertools.cycle((TANH, TANH, 0, RELU6)),
        strict=False,
    )
    if flags[2] or not flags[3]
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("op", ["UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM"])
def test_lstm(kind: Kind, op: str, tmp_path: Path) -> None:
    one_step = op == "LSTM"
    shape = (BATCH * STEPS,) if one_step else (BATCH, STEPS)
    given = [
        Tensor("x", (*shape, INPUTS), "FLOAT32"),
        *kind.weights(""),
        Tensor("h", (BATCH, kind.width), "FLOAT32"),
        Tensor("c", (BATCH, CELLS), "FLOAT32"),
        *kind.norms(),
    ]
    clip = 0.5 if kind.clip else 0.0
    settings = {"FusedActivationFunction": kind.activation, "CellClip": clip, "ProjClip": clip}
    options = "LSTMOptions" if one_step else "UnidirectionalSequenceLSTMOptions"
    graph = graph_of(op, given, [Tensor("y", (*shape, kind.width), "FLOAT32")], (options, settings))
    same(counted(graph, tmp_path), tally_of(lambda numbers: lstm_by_hand(kind, numbers)))


@pytest.mark.parametrize("merged", [False, True], ids=["apart", "merged"])
@pytest.mark.parametrize("further", ["none", "with weights", "of the backward direction"])
def test_lstm_of_both_directions(further: str, merged: bool, tmp_path: Path) -> None:
    kind = Kind(peephole=True, further=FURTHER if further == "with weights" else 0)
    states = [
        Tensor(f"{d}{n}", (BATCH, CELLS), "FLOAT32") for d in ("forward", "backward") for n in ("h", "c")
    ]
    size = FURTHER if further == "with weights" else INPUTS
    more = Tensor("more", (STEPS, BATCH, size), "FLOAT32") if further != "none" else None
    weighted = further == "with weights"
    given = [
        Tensor("x", (STEPS, BATCH, INPUTS), "FLOAT32"),
        *kind.weights("f"),
        *kind.weights("b"),
        *states,
        more,
        *(kind.further_weights("f") if weighted else [None] * 4),
        *(kind.further_weights("b") if weighted else [None] * 4),
    ]
    width = 2 * CELLS if merged else CELLS
    outputs = [Tensor(f"y{i}", (STEPS, BATCH, width), "FLOAT32") for i in range(1 if merged else 2)]
    settings = {"FusedActivationFunction": TANH, "MergeOutputs": merged}
    options = ("BidirectionalSequenceLSTMOptions", settings)
    counts = counted(graph_of("BIDIRECTIONAL_SEQUENCE_LSTM", given, outputs, options), tmp_path)
    same(counts, tally_of(lambda numbers: lstm_by_hand(kind, numbers)), times=2)


def test_lstm_with_one_matrix(tmp_path: Path) -> None:
    """x: [2, 4] and h: [2, 3] beside each other, into 12: 2·12·7 products; for each of 6 cells three
    sigmoids, two tanh, three products and a sum.
    """
    given: list[Tensor | None] = [
        Tensor("x", (2, 4), "FLOAT32"),
        Tensor("h", (2, 3), "FLOAT32"),
        Tensor("w", (12, 7), "FLOAT32", 4 * 84),
        Tensor("b", (12,), "FLOAT32", 48),
        Tensor("c", (2, 3), "FLOAT32"),
    ]
    outputs = [Tensor(n, (2, k), "FLOAT32") for n, k in (("y", 3), ("c2", 3), ("xh", 7), ("gates", 12))]
    counts = counted(graph_of("LSTM", given, outputs, ("LSTMOptions", {"KernelType": 1})), tmp_path)
    assert counts.mac_sites == 168
    assert counts.total.by_format() == {
        "fp32": {
            "mul": 168 + 6 * 3,
            "add": 168 + 6 * (3 * 2 + 1),
            "divide": 6 * 3,
            "transcendental": 6 * (3 + 2),
        }
    }


def rnn_by_hand(further: bool, activation: int, numbers: Callable[..., Any]) -> None:
    w, r, b = numbers(CELLS, INPUTS), numbers(CELLS, CELLS), numbers(CELLS)
    a = numbers(CELLS, FURTHER)
    for _ in range(BATCH):
        h = numbers(CELLS)
        for _ in range(STEPS):
            x, more = numbers(INPUTS), numbers(FURTHER)
            sums = [dot(w[i], x) + dot(r[i], h) + b[i] for i in range(CELLS)]
            if further:
                sums = [total + dot(a[i], more) for i, total in enumerate(sums)]
            h = [FUNCTIONS[activation](total) for total in sums]


def rnn_weights(name: str) -> list[Tensor | None]:
    return [
        Tensor(f"{name}w", (CELLS, INPUTS), "FLOAT32", 4 * CELLS * INPUTS),
        Tensor(f"{name}r", (CELLS, CELLS), "FLOAT32", 4 * CELLS * CELLS),
        Tensor(f"{name}b", (CELLS,), "FLOAT32", 4 * CELLS),
        Tensor(f"{name}h", (BATCH, CELLS), "FLOAT32"),
    ]


@pytest.mark.parametrize("activation", [0, TANH, RELU6], ids=["none", "tanh", "relu6"])
@pytest.mark.parametrize("op", ["RNN", "UNIDIRECTIONAL_SEQUENCE_RNN"])
def test_rnn(op: str, activation: int, tmp_path: Path) -> None:
    shape = (BATCH * STEPS,) if op == "RNN" else (BATCH, STEPS)
    given = [Tensor("x", (*shape, INPUTS), "FLOAT32"), *rnn_weights("")]
    options = "RNNOptions" if op == "RNN" else "SequenceRNNOptions"
    outputs = [Tensor("y", (*shape, CELLS), "FLOAT32")]
    graph = graph_of(op, given, outputs, (options, {"FusedActivationFunction": activation}))
    same(counted(graph, tmp_path), tally_of(lambda numbers: rnn_by_hand(False, activation, numbers)))


@pytest.mark.parametrize("weighted", [False, True], ids=["of the backward direction", "with weights"])
def test_rnn_of_both_directions(weighted: bool, tmp_path: Path) -> None:
    size = FURTHER if weighted else INPUTS
    given = [
        Tensor("x", (BATCH, STEPS, INPUTS), "FLOAT32"),
        *rnn_weights("f"),
        *rnn_weights("b"),
        Tensor("more", (BATCH, STEPS, size), "FLOAT32"),
        *(
            Tensor(f"a{d}", (CELLS, FURTHER), "FLOAT32", 4 * CELLS * FURTHER) if weighted else None
            for d in range(2)
        ),
    ]
    outputs = [Tensor(f"y{d}", (BATCH, STEPS, CELLS), "FLOAT32") for d in range(2)]
    options = ("BidirectionalSequenceRNNOptions", {"FusedActivationFunction": TANH})
    graph = graph_of("BIDIRECTIONAL_SEQUENCE_RNN", given, outputs, options)
    tally = tally_of(lambda numbers: rnn_by_hand(weighted, TANH, numbers))
    same(counted(graph, tmp_path), tally, times=2)


def test_lstm_of_integers(tmp_path: Path) -> None:
    """Of int8, six vectors into three cells. Products: 4·3·(4 + 3) a vector. Sums: of the input 4·3·4, its
    bias among them, and of the state 4·3·(3 - 1). Each of the 24 sums is scaled, rounded (two additions) and
    kept in range. The rest is in int16, as by formula, with a shift for two products of a cell; the third is
    brought to int8 in the format it has.
    """
    kind = Kind()
    given = [
        Tensor("x", (BATCH, STEPS, INPUTS), "INT8"),
        *(
            Tensor(t.name, t.shape, "INT32" if len(t.shape) == 1 else "INT8", t.weights) if t else None
            for t in kind.weights("")
        ),
        Tensor("h", (BATCH, CELLS), "INT8"),
        Tensor("c", (BATCH, CELLS), "INT16"),
    ]
    options = ("UnidirectionalSequenceLSTMOptions", {"FusedActivationFunction": TANH})
    graph = graph_of(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", given, [Tensor("y", (BATCH, STEPS, CELLS), "INT8")], options
    )
    counts = counted(graph, tmp_path)
    vectors, cells, sums = 6, 18, 6 * 24
    assert counts.mac_sites == vectors * 84
    assert counts.total.by_format() == {
        "int8": {"mul": vectors * 84},
        "int32": {
            "mul": sums,
            "add": vectors * (4 * 3 * 4 + 4 * 3 * 2) + 2 * sums,
            "compare": 2 * sums,
        },
        "int16": {
            "mul": cells * 3 + cells,
            "add": cells * 4 + cells * 3 * 2 + cells + 2 * cells,
            "compare": 2 * cells,
            "divide": cells * 3,
            "transcendental": cells * 5,
            "shift": cells * 2,
        },
    }


def test_rnn_of_floats_with_integer_weights(tmp_path: Path) -> None:
    """Six vectors of 4 and their states of 3 are rounded to int8: a factor, two additions, two comparisons.
    Each of 18 units is two sums, each times a scale, and the bias.
    """
    weights = [
        Tensor(t.name, t.shape, "INT8", t.weights) if t and len(t.shape) == 2 and t.weights else t
        for t in rnn_weights("")
    ]
    given = [Tensor("x", (BATCH, STEPS, INPUTS), "FLOAT32"), *weights]
    options = ("SequenceRNNOptions", {"FusedActivationFunction": TANH})
    outputs = [Tensor("y", (BATCH, STEPS, CELLS), "FLOAT32")]
    counts = counted(graph_of("UNIDIRECTIONAL_SEQUENCE_RNN", given, outputs, options), tmp_path)
    rounded, units = 6 * (INPUTS + CELLS), 6 * CELLS
    assert counts.total.by_format() == {
        "int8": {"mul": units * 7},
        "int32": {"mul": 2 * units, "add": units * (3 + 2)},
        "fp32": {
            "mul": rounded,
            "add": 2 * rounded + 2 * units,
            "compare": 2 * rounded,
            "transcendental": units,
        },
    }


def test_weights_and_states_are_read_once_a_step(tmp_path: Path) -> None:
    """24 numbers of the input, 18 of the state in six vectors, 12 + 9 weights, 3 biases; 18 outputs."""
    given = [Tensor("x", (BATCH, STEPS, INPUTS), "FLOAT32"), *rnn_weights("")]
    outputs = [Tensor("y", (BATCH, STEPS, CELLS), "FLOAT32")]
    options = ("SequenceRNNOptions", {"FusedActivationFunction": TANH})
    (layer,) = counted(graph_of("UNIDIRECTIONAL_SEQUENCE_RNN", given, outputs, options), tmp_path).layers
    assert (layer.bytes_read, layer.bytes_written) == (4 * (24 + 18 + 12 + 9 + 3), 4 * 18)


def test_an_activation_without_a_rule_makes_a_lower_bound(tmp_path: Path) -> None:
    given = [Tensor("x", (BATCH, INPUTS), "FLOAT32"), *rnn_weights("")]
    graph = graph_of(
        "RNN",
        given,
        [Tensor("y", (BATCH, CELLS), "FLOAT32")],
        ("RNNOptions", {"FusedActivationFunction": 5}),
    )
    counts = count(trace_tflite(graph.write(tmp_path)))
    assert [item.op for item in counts.uncounted] == ["tflite.SIGN_BIT"]
