"""Weights stored in the formats in which language models are distributed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from addercost.counts.arithmetics.ternary import TERNARY
from addercost.counts.memory import GROUPED, touched_experts
from addercost.counts.weight_formats import INTEGER_DOT, WeightFormat, checked_format, format_of
from addercost.counts.what_if.layer_calls import PRODUCTS
from addercost.counts.what_if.registry import alternative
from addercost.errors import ArgumentError
from addercost.trace.record import IN_REGISTERS, OpCall, TensorSpec, Trace, map_tensors

_WEIGHTS = {
    **{name: (x, w, 0) for name, (x, w) in PRODUCTS.items()},
    "aten.linear": ("input", "weight", 1),
    "aten.bmm": ("self", "mat2", 1),
    **{name: (x, w, 1) for name, (x, w) in GROUPED.items()},
}
"""By operator: its names for the input and the weight, and the axis of the weight along which inputs lie."""

_NUMBER = re.compile(r"\.(\d+)(?:\.|$)")


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """format: a name from `counts.weight_formats`. rounded: inputs are rounded to int8 at run time."""

    format: str
    rounded: bool


def _read(text: str, name: str, parameter: str) -> StoredWeights:
    form, slash, numbers = text.partition("/")
    if slash and numbers != INTEGER_DOT:
        raise ArgumentError(
            f"what-if {name}={text}: activations in {numbers!r} are not known",
            f"as {name}={form}/{INTEGER_DOT}",
        )
    if not form:
        raise ArgumentError(f"what-if {name} needs a {parameter}", f"as {name}=int4")
    return StoredWeights(checked_format(form), bool(slash))


@alternative(
    "weights",
    "weights of linear layers are stored in a format with scales and brought back or, after /int8, "
    "multiplied with activations of int8; unpacking bits is not counted",
    "format of weights, and perhaps of activations",
    _read,
    "weights=q4_k_m",
)
def stored_weights(trace: Trace, layers: frozenset[int], wanted: StoredWeights) -> Trace:
    """The same sites with stored weights, which are converted back to the activations' format once in each
    forward.

    With `weights=FORMAT/int8`, activations are rounded to int8 instead, and the sums of blocks are scaled.
    Ternary weights select x, -x or 0 either way. Convolutions stay as they are.
    """
    blocks = 1 + max((_block(call.module) for call in trace.calls), default=0)

    def form(path: str, weight: str) -> WeightFormat:
        return format_of(wanted.format, path, _block(path), blocks)

    return with_stored_weights(trace, layers, form, wanted.rounded)


def with_stored_weights(
    trace: Trace, layers: Collection[int], form: Callable[[str, str], WeightFormat | None], rounded: bool
) -> Trace:
    """The trace with stored weights in `layers`.

    form: the format of a layer's weights, from the path of its module and the name of the parameter; None
    leaves the weights as they are. rounded: inputs are rounded to int8.
    """
    calls: list[OpCall] = []
    for i, call in enumerate(trace.calls):
        names = _WEIGHTS.get(call.name) if i in layers else None
        found = form(call.module, call.tensor(names[1]).name) if names is not None else None
        if names is None or found is None or call.tensor(names[1]).role not in ("parameter", "derived"):
            calls.append(call)
        else:
            calls += _changed(call, names, found, rounded)
    return replace(trace, calls=tuple(calls))


def with_stored_tables(trace: Trace, form: Callable[[str], WeightFormat | None]) -> Trace:
    """The trace with stored tables of embeddings, whose rows are converted back as they are read.

    form: the format of a table, from the name of the parameter; None leaves it as it is.
    """
    calls: list[OpCall] = []
    for call in trace.calls:
        found = form(call.tensor("weight").name) if call.name == "aten.embedding" else None
        calls += [call] if found is None else _looked_up(call, found)
    return replace(trace, calls=tuple(calls))


def _looked_up(call: OpCall, form: WeightFormat) -> list[OpCall]:
    table, out = call.tensor("weight"), call.output
    rows = TensorSpec((out.numel // table.shape[-1], table.shape[-1]), form.dtype, IN_REGISTERS)
    args = {**call.args, "weight": replace(table, dtype=form.dtype)}
    read = replace(call, args=args, outputs=(replace(out, role=IN_REGISTERS),))
    op = "addercost.dequantize_weight.default"
    return [read, replace(call, op=op, args={"weight": rows, "axis": 1}, tags=())]


def _block(path: str) -> int:
    """The number of the model's block that contains a path: 7 for `model.layers.7.mlp`, and 0 without a
    number.
    """
    found = _NUMBER.search(path)
    return int(found[1]) if found else 0


def _changed(call: OpCall, names: tuple[str, str, int], form: WeightFormat, rounded: bool) -> list[OpCall]:
    x_name, w_name, axis = names
    x, stored = call.tensor(x_name), replace(call.tensor(w_name), dtype=form.dtype)
    tags = (*call.tags, TERNARY) if form.name == TERNARY and TERNARY not in call.tags else call.tags

    def change(name: str, spec: TensorSpec) -> TensorSpec:
        if name == w_name:
            return stored
        return replace(spec, dtype="int8") if rounded and name == x_name else spec

    made = replace(map_tensors(call, change), tags=tags)
    used = touched_experts(x, stored) if call.name in GROUPED else stored
    weight = replace(used, role=IN_REGISTERS)
    out = replace(call.output, role=IN_REGISTERS)
    scale = TensorSpec((used.numel // used.shape[axis],), "float16", "constant")

    def beside(op: str, outputs: TensorSpec, **args: TensorSpec | int) -> OpCall:
        return replace(call, op=f"addercost.{op}.default", args=args, outputs=(outputs,), tags=())

    if rounded:
        before = [beside("round_inputs", replace(x, dtype="int8"), input=x)]
        scales = {} if form.block else {"scale": scale}
        after = [beside("scale_block_sums", out, weight=weight, axis=axis, **scales)]
    elif form.block:
        back = replace(used, dtype=x.dtype, role=IN_REGISTERS)
        before, after = [beside("dequantize_weight", back, weight=weight, axis=axis)], []
    else:
        before, after = [], [beside("scale_sums", out, scale=scale)]
    return [*before, made, *after]
