"""Keys and values kept in fewer bits: rounded as they are written, brought back as attention reads them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from addercost.counts.cache_append import APPENDED
from addercost.counts.what_if.registry import alternative
from addercost.errors import ArgumentError, unknown_name
from addercost.trace.record import IN_REGISTERS, OpCall, TensorSpec, Trace

_DTYPES = {"int8": "int8", "int4": "int4", "fp8": "float8_e4m3fn"}
_SCALE = "float16"
_ATTENTION = "aten.scaled_dot_product_attention"


def _read(text: str, name: str, parameter: str) -> str:
    if not text:
        raise ArgumentError(f"what-if {name} needs a {parameter}", f"as {name}=int8")
    if text not in _DTYPES:
        raise unknown_name("format of a cache", text, _DTYPES)
    return _DTYPES[text]


@alternative(
    "cache",
    "keys and values are kept in a narrow format, with a scale for every vector",
    "format",
    _read,
    "cache=int8",
)
def narrow_cache(trace: Trace, layers: frozenset[int], dtype: str) -> Trace:
    """Each new vector takes |x|, a comparison, a product and a rounding an element, and a division; each that
    attention reads a product an element. Scales of two bytes a vector are written and read.

    Raises ArgumentError where no attention reads keys of tokens before, as where it is not one operator.
    Source: Liu et al., ICML 2024 (KIVI), without its groups along tokens.
    """
    calls: list[OpCall] = []
    changed = False
    for call in trace.calls:
        if APPENDED in call.tags:
            calls += _written(call, dtype)
            changed = True
        elif call.name == _ATTENTION and call.shape("key")[-2] > call.shape("query")[-2]:
            calls += _read_back(call, dtype)
            changed = True
        else:
            calls.append(call)
    if not changed:
        raise ArgumentError(
            f"what-if cache: {trace.model} keeps no keys and values for attention as one operator",
            "leave it out",
        )
    return replace(trace, calls=tuple(calls))


def cache_bytes(cached: Iterable[TensorSpec], dtype: str | None) -> int:
    """Bytes of a cache. dtype: that its keys and values, [batch, heads, length, size], are kept in."""
    return sum(
        spec.n_bytes
        if dtype is None or len(spec.shape) != 4
        else sum(part.n_bytes for part in _narrowed(spec, dtype))
        for spec in cached
    )


def _narrowed(spec: TensorSpec, dtype: str) -> tuple[TensorSpec, TensorSpec]:
    """The vectors, and their scales."""
    return replace(spec, dtype=dtype), TensorSpec(spec.shape[:-1], _SCALE, "constant")


def _written(call: OpCall, dtype: str) -> list[OpCall]:
    new, scales = _narrowed(call.output, dtype)
    wide = replace(call.output, role=IN_REGISTERS)
    rounded = replace(
        call,
        op="addercost.round_inputs.default",
        args={"input": wide},
        outputs=(replace(new, role=IN_REGISTERS), replace(scales, role="activation")),
        tags=(),
    )
    return [rounded, replace(call, outputs=(new,))]


def _read_back(call: OpCall, dtype: str) -> list[OpCall]:
    back = []
    args = dict(call.args)
    for name in ("key", "value"):
        wide = call.tensor(name)
        args[name], scales = _narrowed(wide, dtype)
        back.append(
            replace(
                call,
                op="addercost.scale_elements.default",
                args={"scale": scales},
                outputs=(replace(wide, role=IN_REGISTERS),),
                tags=(),
            )
        )
    return [*back, replace(call, args=args)]
