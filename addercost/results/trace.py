"""Trace to JSON and back. The round trip is the identity; another schema version is refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from addercost.errors import DataError
from addercost.trace.record import SCHEMA, ArgValue, OpCall, TensorSpec, Trace


def trace_to_json(trace: Trace) -> str:
    """The trace as a JSON document, one call a line so that files diff well."""
    head = {
        "schema": SCHEMA,
        "model": trace.model,
        "tracer": trace.tracer,
        "versions": dict(trace.versions),
        "notes": list(trace.notes),
        "inputs": [_encode(spec) for spec in trace.inputs],
        "modules": dict(trace.modules),
        "parameters": dict(trace.parameters),
    }
    lines = ",\n".join(f"  {json.dumps(_encode_call(call), allow_nan=False)}" for call in trace.calls)
    return f'{json.dumps(head, indent=1)[:-2]},\n "calls": [\n{lines}\n ]\n}}\n'


def trace_from_json(text: str, source: str = "trace") -> Trace:
    """Reads what `trace_to_json` wrote. Raises DataError naming `source` for anything else."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source} is not JSON: {error}") from None
    return trace_from_data(data, source)


def trace_from_data(data: Any, source: str = "trace") -> Trace:
    check_schema(data, SCHEMA, source)
    try:
        return Trace(
            model=str(data["model"]),
            calls=tuple(_decode_call(item, index) for index, item in enumerate(data["calls"])),
            modules={str(path): str(kind) for path, kind in data["modules"].items()},
            parameters={str(name): _count(n) for name, n in data["parameters"].items()},
            inputs=tuple(_decode_spec(item) for item in data["inputs"]),
            tracer=str(data["tracer"]),
            versions={str(name): str(version) for name, version in data["versions"].items()},
            notes=tuple(str(note) for note in data["notes"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{source} is a damaged trace: {type(error).__name__}: {error}",
            "save it again with `addercost profile … --save-trace`",
        ) from None


def check_schema(data: Any, expected: str, source: str) -> None:
    """Raises DataError unless `data` is a document of ours with exactly this schema."""
    found = data.get("schema") if isinstance(data, dict) else None
    if found == expected:
        return
    kind = expected.rpartition("/")[0]
    if isinstance(found, str) and found.startswith(kind + "/"):
        raise DataError(
            f"{source} has schema {found}, this version reads {expected}",
            "make it again with this version of addercost",
        )
    what = f"schema {found!r}" if found is not None else "no schema"
    raise DataError(
        f"{source} is not a {kind.rpartition('/')[2]} of addercost ({what}, expected {expected!r})"
    )


def _encode(value: ArgValue) -> Any:
    if isinstance(value, TensorSpec):
        data: dict[str, Any] = {"tensor": list(value.shape), "dtype": value.dtype, "role": value.role}
        return data | {"name": value.name} if value.name else data
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


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"not a count: {value!r}")
    return value


def _decode_spec(data: Any) -> TensorSpec:
    shape = tuple(_count(size) for size in data["tensor"])
    return TensorSpec(shape, str(data["dtype"]), str(data["role"]), str(data.get("name", "")))


def _decode(data: Any) -> ArgValue:
    if isinstance(data, list):
        return tuple(_decode(item) for item in data)
    if isinstance(data, dict):
        if "tensor" in data:
            return _decode_spec(data)
        return float(data["float"]) if "float" in data else complex(data["complex"])
    if data is None or isinstance(data, bool | int | float | str):
        return data
    raise TypeError(f"unexpected value {data!r}")


def _decode_call(data: Mapping[str, Any], index: int) -> OpCall:
    return OpCall(
        op=str(data["op"]),
        module=str(data["module"]),
        args={str(name): _decode(value) for name, value in data["args"].items()},
        outputs=tuple(_decode_spec(item) for item in data["outputs"]),
        index=index,
        tags=tuple(str(tag) for tag in data.get("tags", ())),
    )
