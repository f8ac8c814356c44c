"""Keys and values in fewer bits: they are rounded when they are written and converted back when attention
reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from addercost.counts.cache_append import APPENDED
from addercost.counts.what_if.registry import alternative
from addercost.errors import ArgumentError, unknown_name
from addercost.trace.record import IN_REGISTERS, OpCall, TensorSpec, Trace, map_tensors

_DTYPES = {"int8": "int8", "int4": "int4", "fp8": "float8_e4m3fn"}
_SCALE = "float16"
_ATTENTION = "aten.scaled_dot_product_attention"
_AXES = 4
"""Of keys and values: batch, heads, length, size."""
_STATES = ("state", "linear")
"""Parts of the names under which a cache keeps what a recurrent layer knows of all tokens together."""


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
    """Rounds the key-value cache to a narrow format with one scale for each vector.

    Each element of a new vector takes |x|, a comparison, a product and a rounding, and each new vector a
    division. Each element that is read takes a product, counted where an operator first reads it. Scales of
    two bytes for each vector are written and read. Attention whose keys are not appended to in this forward,
    such as those of an encoder, reads them in the narrow format too. What has other axes is left as it is:
    the last inputs of a convolution, the keys by which sparse attention chooses, and vectors of several
    tokens.

    Raises ArgumentError where no attention reads keys of earlier tokens, or where attention is not one
    operator. Source: Liu et al., ICML 2024 (KIVI), without its groups along tokens.
    """
    calls: list[OpCall] = []
    waiting: list[_Cached] = []
    appending: set[str] = set()
    changed = False
    for call in trace.calls:
        if APPENDED in call.tags and len(call.output.shape) == _AXES:
            calls += _written(call, dtype)
            waiting = [cached for cached in waiting if cached.module == call.module] + [_Cached(call)]
            appending.add(call.module)
            changed = True
        elif "view" in call.tags:
            for cached in waiting:
                cached.follow(call)
            calls.append(call)
        elif call.name == _ATTENTION:
            is_longer = call.shape("key")[-2] > call.shape("query")[-2]
            read = [name for name in ("key", "value") if _taken(waiting, call.tensor(name))]
            if is_longer and not read and call.module not in appending:
                read = ["key", "value"]
            calls += _read_back(call, dtype, read)
            changed = changed or bool(read)
        else:
            calls += _read_elsewhere(call, dtype, waiting)
    if not changed:
        raise ArgumentError(
            f"what-if cache: {trace.model} keeps no keys and values for attention as one operator",
            "leave it out",
        )
    return replace(trace, calls=tuple(calls))


class _Cached:
    """The vectors of all tokens, from the call that appends new ones until an operator reads them.

    A trace does not say which call returned an operand. The vectors are recognised by their shape, which
    equals that of the new vectors but is longer along the tokens, or by the shapes of their views.
    """

    def __init__(self, appended: OpCall) -> None:
        self.module = appended.module
        self._new = appended.output.shape
        axis = appended.args.get("dim", 0)
        assert isinstance(axis, int)
        self._axis = axis % len(self._new)
        self.whole: TensorSpec | None = None
        self._shapes: set[tuple[int, ...]] = set()

    def has(self, spec: TensorSpec) -> bool:
        if spec.role != "activation":
            return False
        if self.whole is None and self._is_longer(spec.shape):
            self.whole = spec
            self._shapes.add(spec.shape)
        return spec.shape in self._shapes

    def follow(self, view: OpCall) -> None:
        if any(self.has(spec) for spec in view.tensors()):
            self._shapes.update(spec.shape for spec in view.outputs)

    def _is_longer(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == len(self._new) and all(
            n > new if axis == self._axis else n == new
            for axis, (n, new) in enumerate(zip(shape, self._new, strict=True))
        )


def _taken(waiting: list[_Cached], spec: TensorSpec) -> TensorSpec | None:
    """All vectors of the cache, if the operand is one of those that wait to be read; they then no longer
    wait. Else None.
    """
    found = next((cached for cached in waiting if cached.has(spec)), None)
    if found is None:
        return None
    waiting.remove(found)
    return found.whole


def _read_elsewhere(call: OpCall, dtype: str, waiting: list[_Cached]) -> list[OpCall]:
    """The call, preceded by the conversions of those vectors of the cache that it reads."""
    back: list[OpCall] = []
    written = call.args.get("self") if "inplace" in call.tags else None

    def change(name: str, spec: TensorSpec) -> TensorSpec:
        whole = _taken(waiting, spec) if name and spec is not written else None
        if whole is None:
            return spec
        vectors, scales = _narrowed(whole, dtype)
        back.append(_scaled(call, whole, input=vectors, scale=scales))
        return replace(spec, role=IN_REGISTERS)

    made = map_tensors(call, change) if waiting else call
    return [*back, made]


def cache_bytes(cached: Iterable[TensorSpec], dtype: str | None) -> int:
    """Bytes of a cache. dtype: the format in which its keys and values, [batch, heads, length, size], are
    stored; None is their own. Anything else in the cache is not changed, as in `narrow_cache`.
    """
    return sum(
        sum(part.n_bytes for part in _narrowed(spec, dtype))
        if dtype is not None and _is_of_tokens(spec)
        else spec.n_bytes
        for spec in cached
    )


def _is_of_tokens(spec: TensorSpec) -> bool:
    """Whether a tensor of a cache has keys or values. Its name is that under which the model keeps it."""
    return len(spec.shape) == _AXES and not any(part in spec.name for part in _STATES)


def _narrowed(spec: TensorSpec, dtype: str) -> tuple[TensorSpec, TensorSpec]:
    """The narrow vectors, and their scales."""
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


def _read_back(call: OpCall, dtype: str, names: Sequence[str]) -> list[OpCall]:
    """Attention that reads the operands `names` in the narrow format, preceded by their conversion."""
    back = []
    args = dict(call.args)
    for name in names:
        wide = call.tensor(name)
        args[name], scales = _narrowed(wide, dtype)
        back.append(_scaled(call, wide, scale=scales))
    return [*back, replace(call, args=args)]


def _scaled(call: OpCall, wide: TensorSpec, **args: TensorSpec) -> OpCall:
    out = replace(wide, role=IN_REGISTERS)
    return replace(call, op="addercost.scale_elements.default", args=args, outputs=(out,), tags=())
