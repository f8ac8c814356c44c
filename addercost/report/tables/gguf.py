"""The content of a GGUF file: a row for each type of tensor, and notes with the settings of its
architecture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from addercost.report.table import Column, Kind, Table
from addercost.sources.gguf_header import GgufHeader, Omitted

_SHOWN = (
    "context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count",
    "attention.head_count_kv", "attention.key_length", "attention.sliding_window", "expert_count",
    "expert_used_count", "vocab_size",
)  # fmt: skip
"""Settings of an architecture on which the operations of its forward depend."""


def gguf_table(header: GgufHeader, name: str) -> Table:
    """A row for each type: tensors, parameters, bytes, and bits of a parameter. The type with most bytes
    comes first.
    """
    rows: dict[str, dict[str, Any]] = {}
    for tensor in header.tensors:
        row = rows.setdefault(tensor.type, {"type": tensor.type, "tensors": 0, "parameters": 0, "bytes": 0})
        row["tensors"] += 1
        row["parameters"] += tensor.numel
        row["bytes"] += tensor.n_bytes
    total = {
        "type": "total",
        **{key: sum(row[key] for row in rows.values()) for key in ("tensors", "parameters", "bytes")},
    }
    for row in (*rows.values(), total):
        row["bits"] = 8 * row["bytes"] / row["parameters"] if row["parameters"] else None
    return Table(
        columns=(
            Column("type", "type"),
            Column("tensors", "tensors", Kind.COUNT),
            Column("parameters", "parameters", Kind.COUNT),
            Column("bytes", "bytes", Kind.QUANTITY, "B"),
            Column("bits", "bits a\nparameter", Kind.NUMBER),
        ),
        rows=sorted(rows.values(), key=lambda row: -row["bytes"]),
        title=f"{name}: {header.architecture or 'no architecture named'}, GGUF version {header.version}",
        notes=tuple(_notes(header)),
        total=total,
    )


def _notes(header: GgufHeader) -> Iterator[str]:
    named = header.metadata.get("general.name")
    if isinstance(named, str) and named:
        yield f"name: {named}"
    shown = [(key, header.setting(key)) for key in _SHOWN]
    texts = [f"{key} {_written(value)}" for key, value in shown if value is not None]
    if texts:
        yield "; ".join(texts)
    yield (
        "the file has weights and no forward, so no operations are counted: name the model's configuration "
        "for that, such as hf:llama"
    )


def _written(value: object) -> str:
    if isinstance(value, Omitted):
        return f"({value.length:,} values)"
    if isinstance(value, tuple):
        different = dict.fromkeys(value)
        return (
            f"{' or '.join(map(str, different))} by block"
            if len(different) <= 4
            else f"({len(value)} values)"
        )
    return f"{value:,}" if isinstance(value, int) else str(value)
