"""Layers with a state in TFLite files, against loops over numbers that count what is done with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from addercost.counts.model import count
from addercost.trace.tflite.tracer import trace_tflite
from tests.trace.tflite.graphs import Tensor
from tests.trace.tflite.recurrent_cells import (
    BATCH,
    CELLS,
    FUNCTIONS,
    FURTHER,
    INPUTS,
    KINDS,
    RELU6,
    STEPS,
    TANH,
    Kind,
    counted,
    dot,
    graph_of,
    lstm_by_hand,
    same,
    tally_of,
)


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
