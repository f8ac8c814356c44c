"""Writes and reads a trace as a JSON document. Reading a written document gives an equal trace."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from addercost.counts.call_work import work_of
from addercost.counts.memory import traffic
from addercost.errors import DataError
from addercost.reading import Size, json_data, misfit, read_as
from addercost.results.document import Document, advising, checked_fields
from addercost.trace.record import STORAGE_KINDS, ArgValue, OpCall, Storage, TensorSpec, Trace

SCHEMA = "addercost/trace/1"
_LARGEST = 2**64 - 1
"""An operator's whole numbers have 64 bits, with or without a sign."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    tensor: tuple[Size, ...]
    dtype: str
    role: str
    name: str = ""
    stored: tuple[Size, Size] | None = None
    number: Size = 0


@dataclass(frozen=True, slots=True)
class _Call:
    op: str
    module: str
    args: Mapping[str, Any]
    outputs: tuple[_Tensor, ...]
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Storage:
    bytes: Size
    kind: str
    made: int = -1
    freed: int | None = None


@dataclass(frozen=True, slots=True)
class _Trace:
    model: str
    tracer: str
    versions: Mapping[str, str]
    notes: tuple[str, ...]
    inputs: tuple[_Tensor, ...]
    modules: Mapping[str, str]
    parameters: Mapping[str, Size]
    calls: tuple[_Call, ...]
    repeats: Mapping[str, tuple[Size, ...]] | None = None
    storages: tuple[_Storage, ...] | None = None
    returned: tuple[Size, ...] = ()


def trace_to_json(trace: Trace) -> str:
    """The trace as a JSON document, with one call on each line, so that files can be compared line by
    line.
    """
    head = {
        "schema": SCHEMA,
        "model": trace.model,
        "tracer": trace.tracer,
        "versions": dict(trace.versions),
        "notes": list(trace.notes),
        "inputs": [_encode(spec) for spec in trace.inputs],
        "modules": dict(trace.modules),
        "parameters": dict(trace.parameters),
        "returned": list(trace.returned),
    }
    if trace.repeats is not None:
        head["repeats"] = {path: list(starts) for path, starts in trace.repeats.items()}
    lines = ",\n".join(f"  {json.dumps(_encode_call(call), allow_nan=False)}" for call in trace.calls)
    storages = ""
    if trace.storages is not None:
        rows = ",\n".join(f"  {json.dumps(_encode_storage(storage))}" for storage in trace.storages)
        storages = f',\n "storages": [\n{rows}\n ]'
    return f'{json.dumps(head, indent=1)[:-2]},\n "calls": [\n{lines}\n ]{storages}\n}}\n'


def trace_from_json(text: str, source: str = "trace") -> Trace:
    """Reads the text that `trace_to_json` wrote. Raises DataError, which names `source`, for anything
    else.
    """
    return trace_from_data(json_data(text, source), source)


def trace_from_data(data: Any, source: str = "trace") -> Trace:
    """The same from the plain data of the document."""
    fields = checked_fields(data, SCHEMA, source)
    with advising("save it again with `addercost profile … --save-trace`"):
        read = read_as(_Trace, fields, source)
        return Trace(
            model=read.model,
            calls=tuple(_decode_call(call, index, source) for index, call in enumerate(read.calls)),
            modules=read.modules,
            parameters=read.parameters,
            inputs=tuple(
                _spec(tensor, source, f"inputs[{index}]") for index, tensor in enumerate(read.inputs)
            ),
            tracer=read.tracer,
            versions=read.versions,
            notes=read.notes,
            storages=_storages(read, source),
            repeats=_repeats(read, source),
            returned=read.returned,
        )


DOCUMENT = Document(SCHEMA, "a trace", Trace, trace_from_data)


def _storages(read: _Trace, source: str) -> tuple[Storage, ...] | None:
    """The storages of the document. Raises DataError for one that is freed before it is allocated, or at a
    call that the trace does not have.
    """
    if read.storages is None:
        return None
    last = len(read.calls) - 1
    for index, storage in enumerate(read.storages):
        made, freed = storage.made, storage.freed
        if storage.kind not in STORAGE_KINDS:
            raise misfit(
                source, f"storages[{index}].kind", storage.kind, f"one of {', '.join(STORAGE_KINDS)}"
            )
        if not -1 <= made <= (last if freed is None else freed) <= last:
            expected = "the indices of two calls, the later one last"
            raise misfit(source, f"storages[{index}]", {"made": made, "freed": freed}, expected)
    return tuple(Storage(one.bytes, one.kind, one.made, one.freed) for one in read.storages)


def _repeats(read: _Trace, source: str) -> Mapping[str, tuple[int, ...]] | None:
    """The repeats of the document. Raises DataError where the calls of a module are not in the order in which
    they begin.
    """
    for path, starts in (read.repeats or {}).items():
        if list(starts) != sorted(starts) or len(starts) < 2 or starts[-1] > len(read.calls):
            expected = "the indices of two calls or more, in order"
            raise misfit(source, f"repeats[{path!r}]", list(starts), expected)
    return read.repeats


def _encode_storage(storage: Storage) -> dict[str, Any]:
    data: dict[str, Any] = {"bytes": storage.n_bytes, "kind": storage.kind}
    data |= {"made": storage.made} if storage.made >= 0 else {}
    return data | {"freed": storage.freed} if storage.freed is not None else data


def _encode(value: ArgValue) -> Any:
    if isinstance(value, TensorSpec):
        data: dict[str, Any] = {"tensor": list(value.shape), "dtype": value.dtype, "role": value.role}
        data |= {"name": value.name} if value.name else {}
        data |= {"number": value.number} if value.number else {}
        return data | {"stored": list(value.stored)} if value.stored is not None else data
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, complex):
        return {"complex": repr(value)}
    return value


def _encode_call(call: OpCall) -> dict[str, Any]:
    data: dict[str, Any] = {
        "op": call.op,
        "module": call.module,
        "args": {name: _encode(value) for name, value in call.args.items()},
        "outputs": [_encode(spec) for spec in call.outputs],
    }
    return data | {"tags": list(call.tags)} if call.tags else data


def _decode_call(read: _Call, index: int, source: str) -> OpCall:
    where = f"calls[{index}]"
    call = OpCall(
        op=read.op,
        module=read.module,
        args={name: _decode(value, source, f"{where}.args.{name}") for name, value in read.args.items()},
        outputs=tuple(_spec(spec, source, f"{where}.outputs[{i}]") for i, spec in enumerate(read.outputs)),
        index=index,
        tags=read.tags,
    )
    _require_countable(call, source, where)
    return call


def _require_countable(call: OpCall, source: str, where: str) -> None:
    """Raises DataError where a call's arguments are not those of its operator, so that its counting rule
    would fail.
    """
    try:
        work_of(call)
        traffic(call)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise DataError(
            f"{source}: {where} has arguments that are not those of {call.op}: {reason}"
        ) from None


def _spec(read: _Tensor, source: str, where: str) -> TensorSpec:
    if math.prod(read.tensor) > _LARGEST:
        raise misfit(
            source, f"{where}.tensor", list(read.tensor), "the shape of a tensor of less than 2⁶⁴ elements"
        )
    return TensorSpec(read.tensor, read.dtype, read.role, read.name, read.stored, read.number)


FORM = _Trace
"""The class whose fields are those of the document. The JSON Schema is made from it."""


def _decode(value: Any, source: str, where: str) -> ArgValue:
    """One argument of a call. Raises DataError for data that `_encode` does not make."""
    if isinstance(value, list):
        return tuple([_decode(item, source, f"{where}[{i}]") for i, item in enumerate(value)])
    if isinstance(value, dict):
        if "tensor" in value:
            return _spec(read_as(_Tensor, value, source, where), source, where)
        for name, made in (("float", float), ("complex", complex)):
            if list(value) == [name] and isinstance(value[name], str):
                try:
                    return made(value[name])
                except ValueError:
                    break
        raise misfit(source, where, value, "a tensor, a float or a complex number")
    if type(value) is int and abs(value) > _LARGEST:
        raise misfit(source, where, value, "a whole number of at most 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise misfit(source, where, value, 'a finite number, or {"float": "inf"}')
    scalar: bool | int | float | str | None = value
    return scalar
