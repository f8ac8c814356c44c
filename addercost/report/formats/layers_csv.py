"""A report as CSV: one line for each layer of each model and arithmetic."""

from __future__ import annotations

from typing import Any

from addercost.analysis.layer_rows import labelled_costs, layer_rows
from addercost.arithmetic import OpClass
from addercost.report.formats.table_csv import to_csv
from addercost.report.table import Column, Kind, Table
from addercost.report.tables.layers import class_columns, written_shapes
from addercost.results.report import Report, network_name


def to_layers_csv(report: Report) -> str:
    """The text of the file, with plain numbers. Cycles are estimates by the cost model of each profile."""
    profiles = [(subject, profile) for subject in report.subjects for profile in subject.profiles]
    processors = dict.fromkeys(name for _, profile in profiles for name in labelled_costs(profile))
    of_graph = any(layer.nodes for _, profile in profiles for layer in profile.counts.layers)
    columns = (
        Column("model", "model"),
        Column("arithmetic", "arithmetic"),
        Column("path", "layer", Kind.PATH),
        Column("type", "type"),
        Column("output_shape", "output"),
        Column("calls", "calls", Kind.COUNT),
        Column("output_shapes", "outputs of all calls"),
        *([Column("nodes", "ONNX nodes")] if of_graph else []),
        Column("peak_bytes", "peak memory", Kind.COUNT),
        Column("parameters", "parameters", Kind.COUNT),
        *class_columns(*(profile.counts.total for _, profile in profiles)),
        *(Column(f"cycles@{name}", f"cycles on {name}", Kind.COUNT) for name in processors),
    )
    rows: list[dict[str, Any]] = [
        {
            "model": subject.name,
            "arithmetic": network_name(profile),
            "path": row.path or "(model)",
            "type": row.type,
            "output_shape": row.output_shape,
            "calls": row.calls,
            "output_shapes": written_shapes(row.output_shapes),
            "nodes": ", ".join(row.nodes) or None,
            "peak_bytes": row.peak_bytes,
            "parameters": row.parameters,
            **{op_class.value: row.counts[op_class] for op_class in OpClass},
            **{f"cycles@{name}": cycles for name, cycles in row.cycles.items()},
        }
        for subject, profile in profiles
        for row in layer_rows(profile)
    ]
    return to_csv(Table(columns, rows))
