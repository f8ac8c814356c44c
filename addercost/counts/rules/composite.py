"""Operators that torch decomposes before the dispatch tracer sees them. Other traces have them whole."""

from __future__ import annotations

import itertools
import math

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.rules.convolution import convolution
from addercost.counts.rules.elementwise import per_element
from addercost.counts.rules.interpolation import grid_sample
from addercost.counts.rules.matmul import product
from addercost.counts.rules.pooling import adaptive_avg_pool, adaptive_max_pool
from addercost.counts.rules.random_numbers import dropout
from addercost.counts.work import OperatorWork, Sites, accumulator_of
from addercost.trace.record import OpCall, TensorSpec

rule("aten.adaptive_avg_pool2d", "aten.adaptive_avg_pool3d")(adaptive_avg_pool)
rule("aten._adaptive_max_pool1d")(adaptive_max_pool)
for _name in ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"):
    rule(f"aten.{_name}", f"aten.{_name}_")(dropout)
rule("aten.grid_sampler")(grid_sample)
for _axes in (1, 2, 3):
    rule(f"aten.conv{_axes}d")(convolution)


@rule("aten.rrelu", "aten.rrelu_", "aten.prelu", "aten.prelu_")
def leaky(call: OpCall) -> OperatorWork:
    """`x if x > 0 else x · slope`, with one slope or one for each channel: a comparison and a product for
    each element.
    """
    return per_element(call, {"compare": 1, "mul": 1})


@rule("aten.einsum")
def einsum(call: OpCall) -> OperatorWork:
    """Factors are joined from the left, two at a time: one product for every combination of their indices,
    summed over the indices that no later factor and no output has. Where no index is summed, the products are
    plain multiplications and not MAC sites."""
    equation, tensors = str(call.args["equation"]), call.args["tensors"]
    assert isinstance(tensors, tuple)
    factors = [spec for spec in tensors if isinstance(spec, TensorSpec)]
    left, _, out = equation.replace(" ", "").partition("->")
    terms = [_letters(term, spec) for term, spec in zip(left.split(","), factors, strict=True)]
    if not _:
        once = [c for c in sorted("".join(left)) if left.count(c) == 1 and c.isalpha()]
        out = "".join(once)
    kept_letters = set(out.replace("...", "")) | {c for term in terms for c in term if c.isdigit()}
    sizes: dict[str, int] = {}
    for term, spec in zip(terms, factors, strict=True):
        for letter, size in zip(term, spec.shape, strict=True):
            sizes[letter] = sizes.get(letter, 1) if size == 1 else size
    sites: list[Sites] = []
    other = OpCounts()
    have, first = set(terms[0]), factors[0]
    for position, (term, spec) in enumerate(itertools.islice(zip(terms, factors, strict=True), 1, None), 1):
        joint = have | set(term)
        later = kept_letters.union(*terms[position + 1 :])
        places = math.prod(sizes[c] for c in joint)
        if joint <= later:
            other += OpCounts.of(spec.number_format, mul=places)
        else:
            outputs = math.prod(sizes[c] for c in joint & later)
            sites.extend(product(first, spec, places, outputs).sites)
        have = joint & later
        of_weights = all(one.role in ("parameter", "derived") for one in (first, spec))
        shape = tuple(sizes[c] for c in sorted(have))
        first = TensorSpec(shape, first.dtype, "derived" if of_weights else "activation")
    if len(terms) == 1:
        places = math.prod(sizes[c] for c in have)
        results = math.prod(sizes[c] for c in have & kept_letters)
        other += OpCounts.of(factors[0].number_format, add=places - results if places else 0)
    return OperatorWork(tuple(sites), other)


def _letters(term: str, spec: TensorSpec) -> list[str]:
    """The index letters of a term. An ellipsis becomes digits, numbered from its last axis."""
    if "..." not in term:
        return list(term)
    before, _, after = term.partition("...")
    hidden = len(spec.shape) - len(before) - len(after)
    return [*before, *(str(i) for i in reversed(range(hidden))), *after]


@rule("aten.diff")
def diff(call: OpCall) -> OperatorWork:
    """x of length L along `dim`, differenced n times: L - 1, L - 2, … subtractions for each row."""
    out, times, dim = call.output, call.args.get("n", 1), call.args.get("dim", -1)
    assert isinstance(times, int) and isinstance(dim, int)
    length = out.shape[dim]
    rows = out.numel // length if length else 0
    return OperatorWork(other=OpCounts.of(out.number_format, add=rows * sum(range(length, length + times))))


_GATES = {"aten.lstm": 4, "aten.gru": 3, "aten.rnn_tanh": 1, "aten.rnn_relu": 1}


@rule(*_GATES)
def recurrent(call: OpCall) -> OperatorWork:
    """x: [T, N, C], for every layer and direction w: [G·H, C'], u: [G·H, H'], biases and a projection.

    A step has G·H sums of C' products and of H' products, and the element-wise part of its cell: LSTM c' =
    σ(f)·c + σ(i)·tanh(g), h = σ(o)·tanh(c'); GRU n = tanh(x + σ(r)·y), h = n + σ(z)·(h - n).
    """
    x, params = call.tensor("input" if "input" in call.args else "data"), call.args["params"]
    assert isinstance(params, tuple)
    steps = math.prod(x.shape[:-1])
    gates = _GATES[call.name]
    weights = [spec for spec in params if isinstance(spec, TensorSpec)]
    matrices = [spec for spec in weights if len(spec.shape) == 2]
    biases = sum(spec.numel for spec in weights if len(spec.shape) == 1)
    number_format = x.number_format
    sums = sum(spec.shape[0] for spec in matrices)
    sites = Sites(
        count=steps * sum(spec.numel for spec in matrices),
        outputs=steps * sums,
        biased=steps * biases,
        inputs=x.numel,
        number_format=number_format,
        accumulator_format=accumulator_of(number_format),
        weighted=True,
    )
    directions = 2 if call.args.get("bidirectional") else 1
    layers = call.args.get("num_layers", 1)
    assert isinstance(layers, int)
    cells = layers * directions
    recurrent_rows = [spec.shape[0] for spec in matrices if spec.shape[0] % gates == 0]
    hidden = recurrent_rows[0] // gates if recurrent_rows else 0
    element = {
        "aten.lstm": OpCounts.of(number_format, transcendental=5, add=1 + 6, mul=3, divide=3),
        "aten.gru": OpCounts.of(number_format, transcendental=3, add=3 + 4, mul=2, divide=2),
        "aten.rnn_tanh": OpCounts.of(number_format, transcendental=1),
        "aten.rnn_relu": OpCounts.of(number_format, compare=1),
    }[call.name]
    joined = gates - (1 if call.name == "aten.gru" else 0)
    element += OpCounts.of(number_format, add=joined)  # Each gate adds its two sums.
    return OperatorWork((sites,), element * (steps * cells * hidden))
