"""A chunk of measurements as a Parquet file in memory, with a row for each architecture × arithmetic ×
batch.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from addercost.sweep.measurement import ArchitectureTimes, MeasureSettings
from addercost.sweep.shards.footer import Footer


def measured_shard_bytes(
    key: str, number: int, settings: MeasureSettings, found: Sequence[ArchitectureTimes]
) -> bytes:
    """The shard of `found`, which is in the order of the space."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    failed = sum(item.error is not None for item in found)
    table = pa.Table.from_pylist(list(_rows(settings, found)), schema=_schema())
    table = table.replace_schema_metadata(Footer(key, number, len(found), failed).to_metadata())
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("name", pa.string()),
            ("error", pa.string()),
            ("arithmetic", pa.string()),
            ("batch", pa.int64()),
            ("device", pa.string()),
            ("machine", pa.string()),
            ("threads", pa.int64()),
            ("median_s", pa.float64()),
            ("low_s", pa.float64()),
            ("high_s", pa.float64()),
            ("samples", pa.int64()),
            ("converged", pa.bool_()),
            ("warnings", pa.string()),
            ("samples_s", pa.list_(pa.float64())),
            ("environment", pa.string()),
        ]
    )


def _rows(settings: MeasureSettings, found: Sequence[ArchitectureTimes]) -> Iterator[dict[str, Any]]:
    """The rows: the timings of each architecture and, if it failed, another row with its error."""
    for item in found:
        shared = {
            "name": item.name,
            "device": settings.device,
            "machine": item.machine or None,
            "threads": settings.threads,
            "environment": json.dumps(item.environment, sort_keys=True) if item.environment else None,
        }
        for time in item.times:
            yield shared | {
                "arithmetic": time.arithmetic,
                "batch": time.batch,
                "median_s": time.median_s,
                "low_s": time.low_s,
                "high_s": time.high_s,
                "samples": len(time.samples_s),
                "converged": time.converged,
                "warnings": "; ".join(time.warnings) or None,
                "samples_s": list(time.samples_s),
            }
        if item.error is not None:
            yield shared | {"error": item.error}
