"""Recurrent cells as TFLite graphs, and their operations one by one."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
