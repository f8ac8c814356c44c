"""A trace: the operator calls of one forward, as plain data. This file needs no torch, so a saved trace can
be read anywhere.

A `Trace` has every operator call of one forward in order, each with the module that made it and its arguments
by their names in the schema. Counting rules read `call.shape("weight")`, never a position.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TypeAlias

NUMBER_FORMATS = {
    "float64": "fp64",
    "float32": "fp32",
    "float16": "fp16",
    "bfloat16": "bf16",
    "complex32": "fp16",
    "complex64": "fp32",
    "complex128": "fp64",
    "bool": "bool",
    "quint8": "uint8",
    "qint8": "int8",
    "qint32": "int32",
}
"""Short names of dtypes, for columns and tables. A complex number counts as its parts."""

_ITEM_BITS: Mapping[str, float] = {
    "float64": 64,
    "float32": 32,
    "float16": 16,
    "bfloat16": 16,
    "bool": 8,
    "complex32": 32,
    "ternary": 2,
    "int4_g128": 4 + (16 + 4) / 128,
    "q8_0": 34 * 8 / 32,
    "q6_k": 210 * 8 / 256,
    "q5_k": 176 * 8 / 256,
    "q4_k": 144 * 8 / 256,
    "q4_0": 18 * 8 / 32,
    "q2_k": 84 * 8 / 256,
    "q5_1": 24 * 8 / 32,
    "q5_0": 22 * 8 / 32,
    "q4_1": 20 * 8 / 32,
    "q3_k": 110 * 8 / 256,
    "iq4_nl": 18 * 8 / 32,
    "mxfp4": 17 * 8 / 32,
    "tq2_0": 66 * 8 / 256,
    "tq1_0": 54 * 8 / 256,
    "iq4_xs": 136 * 8 / 256,
    "iq3_s": 110 * 8 / 256,
    "iq3_xxs": 98 * 8 / 256,
    "iq2_s": 82 * 8 / 256,
    "iq2_xs": 74 * 8 / 256,
    "iq2_xxs": 66 * 8 / 256,
    "iq1_m": 56 * 8 / 256,
    "iq1_s": 50 * 8 / 256,
    "nvfp4": 36 * 8 / 64,
    "q1_0": 18 * 8 / 128,
}
"""Bits of an element. For block formats of weights (`counts.weight_formats`) they include the block's scales.
Each number is exact as a float.
"""

IN_REGISTERS = "in registers"
"""Role of a tensor that one kernel makes and uses up. It is never in memory and moves no bytes."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape, dtype and role of a tensor, but never its values.

    role: "input", "parameter", "buffer", "constant" (any other tensor that the forward did not make),
    "derived" (computed from parameters) or "activation". name: the qualified name of a parameter or buffer;
    for a derived tensor that of the first parameter it was computed from. number: equal wherever the trace
    has this tensor, and different for every other tensor; 0 if that is unknown. stored: for a sparse tensor,
    how many values it stores and the bytes of their indices.
    """

    shape: tuple[int, ...]
    dtype: str
    role: str = "activation"
    name: str = ""
    stored: tuple[int, int] | None = None
    number: int = field(default=0, compare=False)

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def n_stored(self) -> int:
        """Values in memory: the stored ones of a sparse tensor, all elements of a dense one."""
        return self.stored[0] if self.stored is not None else self.numel

    @property
    def number_format(self) -> str:
        """The format in which arithmetic on the tensor is counted: `fp32`, `int8`, …"""
        return NUMBER_FORMATS.get(self.dtype, self.dtype)

    @property
    def is_complex(self) -> bool:
        return self.dtype.startswith("complex")

    @property
    def item_bits(self) -> float:
        bits = _ITEM_BITS.get(self.dtype)
        if bits is not None:
            return bits
        digits = "".join(c for c in self.dtype.split("_")[0] if c.isdigit())
        return int(digits) if digits else 8

    @property
    def n_bytes(self) -> int:
        items, indices = self.stored if self.stored is not None else (math.prod(self.shape), 0)
        bits = _ITEM_BITS.get(self.dtype) or self.item_bits
        return int(-(-items * bits // 8)) + indices


SCORES, KEPT_SCORES = "scores", "kept_scores"
"""Arguments of attention that its schema lacks, over all heads: how many scores follow from its lengths, and
how many of them its mask keeps. They are present only where those values are known.
"""

SAMPLES, SAMPLED_LINES = "samples", "sampled_lines"
"""Arguments of region pooling: how many samples it takes in one channel of all boxes, and on how many rows
and columns. They are present only where these follow from boxes with known values.
"""

STORED_OUTPUTS = "stored_outputs"
"""Argument of a matrix product that gives a sparse tensor or its gradient: how many values that tensor
stores.
"""

PRODUCTS = "products"
"""Argument of the product of two sparse matrices: how many pairs of stored values are multiplied."""

DECOMPOSED = "decomposed:"
"""The beginning of a tag of a decomposition's calls; the operator follows:
"decomposed:aten.mse_loss.default".
"""

NODE = "node:"
"""The beginning of a tag that names the node of a graph file that a call belongs to; the node's name
follows.
"""

ArgValue: TypeAlias = "bool | int | float | complex | str | TensorSpec | tuple[ArgValue, ...] | None"
PLAIN = frozenset((bool, int, float, complex, str, type(None)))
"""Types of arguments that are plain data as they are given."""


class _Known:
    """What is known of a call besides its fields: what `OpCall.tensors` found, because counting a call asks
    several times, and `OpCall.like`. A changed copy of the call does not have it.
    """

    __slots__ = ("_found", "_like")
    _found: tuple[TensorSpec, ...]
    _like: OpCall


@dataclass(frozen=True, slots=True)
class OpCall(_Known):
    """One operator call.

    op: `namespace.name.overload`, such as "aten.convolution.default". module: path of the module whose
    forward made the call. args: by their names in the schema. index: position in the trace.
    """

    op: str
    module: str
    args: Mapping[str, ArgValue]
    outputs: tuple[TensorSpec, ...]
    index: int
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The operator without its overload: "aten.convolution"."""
        return _without_overload(self.op)

    def tensor(self, name: str) -> TensorSpec:
        """The tensor argument of that name. Raises KeyError if it is missing and TypeError if it is not a
        tensor.
        """
        value = self.args[name]
        if not isinstance(value, TensorSpec):
            raise TypeError(f"{self.op}: argument {name} is {value!r}, not a tensor")
        return value

    def optional_tensor(self, name: str) -> TensorSpec | None:
        value = self.args.get(name)
        return value if isinstance(value, TensorSpec) else None

    def shape(self, name: str) -> tuple[int, ...]:
        return self.tensor(name).shape

    @property
    def output(self) -> TensorSpec:
        """The first output. For a call without outputs, an empty tensor."""
        return self.outputs[0] if self.outputs else TensorSpec((0,), "float32")

    def tensors(self) -> tuple[TensorSpec, ...]:
        """Every tensor among the arguments, also inside lists, in the order of the schema."""
        try:
            return self._found
        except AttributeError:
            found = tuple(_tensors(self.args.values()))
            object.__setattr__(self, "_found", found)
            return found

    def parameters(self) -> Iterator[TensorSpec]:
        return (spec for spec in self.tensors() if spec.role == "parameter")

    @property
    def like(self) -> OpCall:
        """The call of another layer that this one repeats: only the module, the index, and the names and
        numbers of tensors differ. The call itself if it repeats none.
        """
        try:
            return self._like
        except AttributeError:
            return self

    def pattern(self) -> Hashable:
        """What the call has beside its module, its index, and the names and numbers of its tensors. 1, 1.0
        and True are different arguments.
        """
        values = self.args.values()
        arguments = tuple(self.args), tuple(map(type, values)), _patterns(values)
        return self.op, self.tags, arguments, _patterns(self.outputs)

    def repeated(
        self, module: str, args: Mapping[str, ArgValue], outputs: tuple[TensorSpec, ...], index: int
    ) -> OpCall:
        """The same call in another layer, where only the names and numbers of its tensors differ."""
        made = OpCall(self.op, module, args, outputs, index, self.tags)
        object.__setattr__(made, "_like", self.like)
        return made


def _patterns(values: Iterable[ArgValue]) -> tuple[Hashable, ...]:
    return tuple(
        [
            (value.shape, value.dtype, value.role, value.stored)
            if value.__class__ is TensorSpec
            else _patterns(value)
            if value.__class__ is tuple
            else value
            for value in values
        ]
    )


@cache
def _without_overload(op: str) -> str:
    return op.rpartition(".")[0]


def _tensors(values: Iterable[ArgValue]) -> Iterator[TensorSpec]:
    for value in values:
        if isinstance(value, TensorSpec):
            yield value
        elif isinstance(value, tuple):
            yield from _tensors(value)


def map_tensors(call: OpCall, change: Callable[[str, TensorSpec], TensorSpec]) -> OpCall:
    """The call after `change(name, spec)` replaced every tensor: name is that of the argument, or "" for an
    output.
    """
    args: Mapping[str, ArgValue] = {
        name: change(name, value)
        if isinstance(value, TensorSpec)
        else tuple(change(name, item) if isinstance(item, TensorSpec) else item for item in value)
        if isinstance(value, tuple)
        else value
        for name, value in call.args.items()
    }
    return replace(call, args=args, outputs=tuple(change("", spec) for spec in call.outputs))


PARAMETER, BUFFER, INPUT, ACTIVATION, GRADIENT = "parameter", "buffer", "input", "activation", "gradient"
STORAGE_KINDS = (PARAMETER, BUFFER, INPUT, ACTIVATION, GRADIENT)


@dataclass(frozen=True, slots=True)
class Storage:
    """Memory that tensors share, and how long it was in use.

    kind: one of `STORAGE_KINDS`; "gradient" is the gradient of a parameter. made: index of the call that
    allocated it; -1 for what existed before the first call. freed: index of the last call before nothing
    referred to it any more; None for what outlived the run.
    """

    n_bytes: int
    kind: str = ACTIVATION
    made: int = -1
    freed: int | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """One forward of one model.

    modules: class name by module path, for every module that ran; the root's path is "". parameters: number
    of elements by qualified name, each tensor once, including those that the forward did not use. tracer: how
    the forward was run: "meta" (no data), "fake" (no data, but devices are kept) or "real" (with data).
    storages: all memory that tensors used; None if it was not asked for, or if this tracer cannot see it.
    repeats: for each module whose forward ran several times, by path, the index of the first call of each
    run; None if this tracer cannot see it. returned: numbers of the tensors that the forward returned.
    """

    model: str
    calls: tuple[OpCall, ...]
    modules: Mapping[str, str]
    parameters: Mapping[str, int]
    inputs: tuple[TensorSpec, ...] = ()
    tracer: str = "meta"
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    storages: tuple[Storage, ...] | None = None
    repeats: Mapping[str, tuple[int, ...]] | None = None
    returned: tuple[int, ...] = field(default=(), compare=False)

    @property
    def parameter_count(self) -> int:
        return sum(self.parameters.values())
