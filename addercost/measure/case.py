"""The shape of a convolution or linear layer as plain data, taken from a trace or read from the command
line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from addercost.counts.call_work import work_of
from addercost.counts.what_if.layer_calls import PRODUCTS
from addercost.errors import ArgumentError
from addercost.trace.record import OpCall, TensorSpec, Trace

Pair = tuple[int, int]

FORM = "N,C,H,W,K,R,stride,padding[,groups[,dilation]]"
_PAIR = re.compile(r"(\d+)(?:x(\d+))?")
_LARGEST = 1 << 31

TORCH_DTYPES = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16", "int8": "int8"}
"""For each number format of rows, the dtype that its tensors have in a trace."""


@dataclass(frozen=True, slots=True)
class LayerCase:
    """input [N, C, H, W], weight [K, C/G, R, S]. linear: rows [N, C], weight [K, C], H = W = R = S = 1."""

    images: int
    channels: int
    filters: int
    size: Pair = (1, 1)
    filter_size: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    linear: bool = False

    @property
    def output_size(self) -> Pair:
        """(P, Q): rows and columns of the output."""
        (h, w), (r, s) = self.size, self.filter_size
        return (
            (h + 2 * self.padding[0] - self.dilation[0] * (r - 1) - 1) // self.stride[0] + 1,
            (w + 2 * self.padding[1] - self.dilation[1] * (s - 1) - 1) // self.stride[1] + 1,
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.images, self.channels, *(() if self.linear else self.size))

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.filters, self.channels // self.groups, *(() if self.linear else self.filter_size))

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.images, self.filters, *(() if self.linear else self.output_size))

    @property
    def sites(self) -> int:
        """The number of sites: N·K·P·Q sums of C/G·R·S pairs of input and weight. A tap on the padding
        counts.
        """
        return math.prod(self.output_shape) * math.prod(self.weight_shape[1:])

    @property
    def text(self) -> str:
        """The shape as `--conv` takes it; a linear layer is written linear:N,C,K."""
        if self.linear:
            return f"linear:{self.images},{self.channels},{self.filters}"
        parts = [self.images, self.channels, *self.size, self.filters]
        texts = [*map(str, parts), *map(_pair_text, (self.filter_size, self.stride, self.padding))]
        if self.groups > 1 or self.dilation != (1, 1):
            texts.append(str(self.groups))
        if self.dilation != (1, 1):
            texts.append(_pair_text(self.dilation))
        return ",".join(texts)

    def with_batch(self, batch: int) -> LayerCase:
        return replace(self, images=self.images * batch)

    def trace(self, number_format: str) -> Trace:
        """A trace of this layer alone, so that it can be counted and costed as any other trace."""
        dtype = TORCH_DTYPES[number_format]
        x = TensorSpec(self.input_shape, dtype, "input")
        out = TensorSpec(self.output_shape, "int32" if dtype == "int8" else dtype)
        if self.linear:
            w = TensorSpec(self.weight_shape[::-1], dtype, "parameter", "weight")
            call = OpCall("aten.mm.default", "layer", {"self": x, "mat2": w}, (out,), 0)
        else:
            w = TensorSpec(self.weight_shape, dtype, "parameter", "weight")
            arguments = {
                "input": x,
                "weight": w,
                "bias": None,
                "stride": self.stride,
                "padding": self.padding,
                "dilation": self.dilation,
                "transposed": False,
                "output_padding": (0, 0),
                "groups": self.groups,
            }
            call = OpCall("aten.convolution.default", "layer", arguments, (out,), 0)
        return Trace(self.text, (call,), {"layer": "Layer"}, {"weight": w.numel}, (x,))


@dataclass(frozen=True, slots=True)
class CaseUse:
    """A shape, and every layer of a model that has this shape. positions: the positions of these layers'
    calls among all calls of the trace.
    """

    case: LayerCase
    paths: tuple[str, ...]
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelCases:
    """The layers of a model that can be timed. skipped: (layer, reason) of the layers that cannot."""

    uses: tuple[CaseUse, ...]
    skipped: tuple[tuple[str, str], ...] = field(default=())


def cases_of(trace: Trace, batch: int = 1) -> ModelCases:
    """Every convolution and linear layer of a traced forward. Layers of equal shape are one `CaseUse`."""
    uses: dict[LayerCase, tuple[list[str], list[int]]] = {}
    skipped: list[tuple[str, str]] = []
    position = 0
    for call in trace.calls:
        work = work_of(call)
        if work is None or not any(site.weighted for site in work.sites):
            continue
        case = _case_of(call)
        if isinstance(case, str):
            skipped.append((call.module, case))
        else:
            paths, positions = uses.setdefault(case.with_batch(batch), ([], []))
            paths.append(call.module)
            positions.append(position)
        position += 1
    return ModelCases(
        tuple(CaseUse(case, tuple(paths), tuple(places)) for case, (paths, places) in uses.items()),
        tuple(skipped),
    )


def _case_of(call: OpCall) -> LayerCase | str:
    """The shape of a layer's call, or why it cannot be timed."""
    if "backward" in call.tags:
        return "a gradient, not a layer: time the forward, or --training"
    name = call.name
    if name == "aten.convolution" or name.endswith("_conv2d"):
        return _convolution(call)
    if name in PRODUCTS:
        first, second = PRODUCTS[name]
        rows, channels = call.shape(first)
        return LayerCase(rows, channels, call.shape(second)[1], linear=True)
    if name.startswith("addercost.") and name.endswith("_linear"):
        shape, (filters, channels) = call.shape("input"), call.shape("weight")
        return LayerCase(math.prod(shape[:-1]), channels, filters, linear=True)
    return f"no kernel for {name}"


def _convolution(call: OpCall) -> LayerCase | str:
    x, w = call.shape("input"), call.shape("weight")
    if call.args.get("transposed"):
        return "no kernel for transposed convolutions"
    if len(x) not in (3, 4):
        return f"no kernel for {len(x) - 2}-dimensional convolutions"
    groups = call.args.get("groups", 1)
    assert isinstance(groups, int)
    pairs: list[Pair] = []
    for values, missing in (
        (x[2:], 1),
        (w[2:], 1),
        (call.args["stride"], 1),
        (call.args["padding"], 0),
        (call.args["dilation"], 1),
    ):
        assert isinstance(values, tuple)
        numbers = [v for v in values if isinstance(v, int)]
        # A convolution of a sequence is timed as one of an image with a single row. One value stands for both
        # axes.
        if len(x) == 3:
            numbers = [missing, numbers[0]]
        pairs.append((numbers[0], numbers[-1]))
    size, filter_size, stride, padding, dilation = pairs
    return LayerCase(x[0], x[1], w[0], size, filter_size, stride, padding, dilation, groups)


def parse_case(text: str) -> LayerCase:
    """Reads `1,64,56,56,64,3,1,1`: N,C,H,W,K,R,stride,padding[,groups[,dilation]]. R and all that follow may
    have two values, as 3x1.

    Raises ArgumentError.
    """
    fields = list(_fields(text))
    if not 8 <= len(fields) <= 10:
        raise ArgumentError(f"--conv {text!r} has {len(fields)} fields", f"write it as {FORM}")
    fields += [(1, 1)] * (10 - len(fields))
    for pair in (*fields[:5], fields[8]):
        if pair[0] != pair[1]:
            raise ArgumentError(f"--conv {text!r}: only R, stride, padding and dilation may be pairs")
    (n, _), (c, _), (h, _), (w, _), (k, _) = fields[:5]
    filter_size, stride, padding, (groups, _), dilation = fields[5:]
    case = LayerCase(n, c, k, (h, w), filter_size, stride, padding, dilation, groups)
    return checked(case, text)


def read_case(text: str) -> LayerCase:
    """Reads what `LayerCase.text` writes. Raises ArgumentError."""
    kind, colon, numbers = text.partition(":")
    if not colon:
        return parse_case(text)
    fields = [first for first, _ in _fields(numbers)]
    if kind != "linear" or len(fields) != 3:
        raise ArgumentError(
            f"{text!r} is no shape of a layer", f"a linear layer is linear:N,C,K, a convolution {FORM}"
        )
    images, channels, filters = fields
    return checked(LayerCase(images, channels, filters, linear=True), text)


def checked(case: LayerCase, text: str) -> LayerCase:
    """Raises ArgumentError for a shape that no layer has."""
    positive = (case.images, case.channels, case.filters, case.groups, *case.size, *case.filter_size)
    if min(*positive, *case.stride, *case.dilation) < 1:
        raise ArgumentError(f"--conv {text!r}: all but the padding must be at least 1")
    if case.channels % case.groups or case.filters % case.groups:
        raise ArgumentError(
            f"--conv {text!r}: {case.channels} and {case.filters} channels do not divide into "
            f"{case.groups} groups"
        )
    if min(case.output_size) < 1:
        p, q = case.output_size
        raise ArgumentError(
            f"--conv {text!r}: the output would be empty ({p}×{q})", "use a larger input or more padding"
        )
    if max(math.prod(s) for s in (case.input_shape, case.weight_shape, case.output_shape)) >= _LARGEST:
        raise ArgumentError(f"--conv {text!r}: a tensor of it has over {_LARGEST:,} elements")
    return case


def _fields(text: str) -> Iterator[Pair]:
    for part in text.split(","):
        match = _PAIR.fullmatch(part.strip())
        if match is None or len(part) > 20:
            raise ArgumentError(f"--conv {text!r}: {part!r} is no number", f"write it as {FORM}")
        first = int(match[1])
        yield first, int(match[2]) if match[2] else first


def _pair_text(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"
