"""A chunk's rows as a Parquet file in memory, computed as arrays, with a row for each architecture ×
combination × processor × energy table.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from addercost.arithmetic import OpClass
from addercost.cost.layer_table import layer_costs, layer_energies, layer_table
from addercost.cost.layers import LayerKind
from addercost.cost.target_registry import load_target
from addercost.hardware import load_energy
from addercost.results.sweep_settings import SweepSettings
from addercost.sweep.shards.footer import Footer
from addercost.sweep.tally import ArchitectureTally, Tally, occurrences

if TYPE_CHECKING:
    import pyarrow as pa


def shard_bytes(
    key: str,
    number: int,
    settings: SweepSettings,
    found: Sequence[ArchitectureTally],
    kinds: Sequence[LayerKind],
) -> bytes:
    """The shard of `found`, which is in the order of the space. Equal contents give equal bytes.

    key: the sweep's key. number: the chunk's number. kinds: the kinds of layers by the numbers in the
    tallies.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = [item for item in found if item.error is None]
    columns = _rows(whole, kinds, settings)
    failed = [item for item in found if item.error is not None]
    table = pa.Table.from_pydict(columns, schema=pa.schema(_fields()))
    if failed:
        table = pa.concat_tables([table, _failures(failed)])
    table = _with_facts(table, whole, failed, settings)
    footer = Footer(key, number, len(found), len(failed))
    table = table.replace_schema_metadata(footer.to_metadata())
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def _fields() -> list[Any]:
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    return [
        pa.field("name", pa.string()),
        pa.field("error", pa.string()),
        pa.field("batch", pa.int64()),
        pa.field("convention", text),
        pa.field("arithmetic", text),
        pa.field("cpu", text),
        pa.field("cost_model", text),
        pa.field("energy", text),
        pa.field("parameters", pa.int64()),
        pa.field("mac_sites", pa.int64()),
        pa.field("bytes", pa.int64()),
        pa.field("uncounted_calls", pa.int64()),
        *(pa.field(op_class.value, pa.int64()) for op_class in OpClass),
        pa.field("cycles", pa.float64()),
        pa.field("seconds", pa.float64()),
        pa.field("seconds_low", pa.float64()),
        pa.field("seconds_high", pa.float64()),
        pa.field("cycles_complete", pa.bool_()),
        pa.field("energy_j", pa.float64()),
        pa.field("energy_complete", pa.bool_()),
    ]


def _rows(
    found: Sequence[ArchitectureTally], kinds: Sequence[LayerKind], settings: SweepSettings
) -> dict[str, Any]:
    """Columns, with rows ordered by architecture, then combination, then processor, then energy table.

    A variant is an architecture in one combination. Letters: a variants, p processors, e energy tables. p and
    e are at least 1, so that a sweep without hardware has rows as well.
    """
    import pyarrow as pa

    variants: list[tuple[int, tuple[int, str, str], Tally]] = [
        (row, combination, tally)
        for row, item in enumerate(found)
        for combination, tally in zip(settings.combinations, item.tallies, strict=True)
    ]
    targets = [load_target(name) for name in settings.cpus]
    energies = [load_energy(name) for name in settings.energies]
    times = occurrences([tally for _, _, tally in variants], len(kinds))
    table = layer_table(kinds)
    costs = layer_costs(table, targets, settings.cost_model)
    joules_of_kinds, has_joules = layer_energies(table, energies, settings.memories)
    a, p, e = len(variants), max(len(targets), 1), max(len(energies), 1)

    def summed(values: Any) -> Any:
        """Values [kinds] added up for each variant, and repeated for all of its rows."""
        return np.repeat(times @ values, p * e)

    def per_variant(values: Sequence[Any], dtype: Any = np.int64) -> Any:
        return np.repeat(np.array(values, dtype=dtype), p * e)

    def names(values: Sequence[str], choices: Sequence[str]) -> Any:
        at = {name: i for i, name in enumerate(choices)}
        return _dictionary(per_variant([at[value] for value in values], np.int32), choices)

    classes = table.per_class()
    nothing = np.zeros(len(kinds), dtype=np.int64)
    of_cpu = np.tile(np.repeat(np.arange(p, dtype=np.int32), e), a)
    of_energy = np.tile(np.arange(e, dtype=np.int32), a * p)
    columns: dict[str, Any] = {
        "name": pa.array([found[row].name for row, _, _ in variants]).take(np.repeat(np.arange(a), p * e))
        if a
        else pa.array([], pa.string()),
        "error": pa.nulls(a * p * e, pa.string()),
        "batch": per_variant([c[0] for _, c, _ in variants]),
        "convention": names([c[1] for _, c, _ in variants], settings.conventions),
        "arithmetic": names([c[2] for _, c, _ in variants], settings.arithmetics),
        "cpu": _dictionary(of_cpu, settings.cpus),
        "cost_model": _dictionary(np.zeros(a * p * e, np.int32), [settings.cost_model] if targets else []),
        "energy": _dictionary(of_energy, settings.energies),
        "parameters": per_variant([found[row].parameters for row, _, _ in variants]),
        "mac_sites": summed(table.mac_sites),
        "bytes": summed(table.n_bytes),
        "uncounted_calls": per_variant([tally.uncounted_calls for _, _, tally in variants]),
    }
    for op_class in OpClass:
        columns[op_class.value] = summed(classes.get(op_class, nothing))
    all_counted = np.array([not tally.uncounted_calls for _, _, tally in variants], dtype=bool)[:, None]
    networks = costs.networks(times)
    if targets:
        cycles = networks.cycles
        complete = (times @ (~costs.complete).astype(np.int64) == 0) & all_counted
        clocks = np.array([target.clock_hz or np.nan for target in targets])
        columns["cycles"] = np.repeat(cycles.reshape(-1), e)
        columns["seconds"] = pa.array(np.repeat((cycles / clocks).reshape(-1), e), from_pandas=True)
        columns["cycles_complete"] = np.repeat(complete.reshape(-1), e)
    else:
        columns |= {name: pa.nulls(a * e) for name in ("cycles", "seconds", "cycles_complete")}
    for name, ends in (("seconds_low", networks.low_s), ("seconds_high", networks.high_s)):
        columns[name] = pa.nulls(a * p * e) if ends is None else np.repeat(ends.reshape(-1), e)
    if energies:
        columns["energy_j"] = np.repeat(times @ joules_of_kinds, p, axis=0).reshape(-1)
        complete = (times @ (~has_joules).astype(np.int64) == 0) & all_counted
        columns["energy_complete"] = np.repeat(complete, p, axis=0).reshape(-1)
    else:
        columns |= {"energy_j": pa.nulls(a * p), "energy_complete": pa.nulls(a * p)}
    return columns


def _dictionary(indices: Any, choices: Sequence[str]) -> Any:
    """A column of texts from `choices`, given by indices. All values are null where there are no choices."""
    import pyarrow as pa

    if not choices:
        return pa.nulls(len(indices), pa.dictionary(pa.int32(), pa.string()))
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(list(choices), pa.string()))


def _failures(failed: Sequence[ArchitectureTally]) -> pa.Table:
    """The rows of failed architectures: the name, the error and nulls."""
    import pyarrow as pa

    schema = pa.schema(_fields())
    columns: dict[str, Any] = {field.name: pa.nulls(len(failed), field.type) for field in schema}
    columns["name"] = pa.array([item.name for item in failed], pa.string())
    columns["error"] = pa.array([item.error for item in failed], pa.string())
    return pa.Table.from_pydict(columns, schema=schema)


def _with_facts(
    table: pa.Table,
    whole: Sequence[ArchitectureTally],
    failed: Sequence[ArchitectureTally],
    settings: SweepSettings,
) -> pa.Table:
    """The table with a column for each fact of the architectures. A column has numbers if all values are
    numbers, else texts. A fact with the name of another column becomes `fact_NAME`.
    """
    import pyarrow as pa

    reserved = set(table.column_names)
    repeats = [settings.rows_per_architecture] * len(whole) + [1] * len(failed)
    for fact in sorted({name for item in (*whole, *failed) for name in item.facts}):
        values = [item.facts.get(fact) for item in (*whole, *failed)]
        numeric = all(value is None or isinstance(value, int | float) for value in values)
        plain = [float(v) if numeric and v is not None else v if v is None else str(v) for v in values]
        column = pa.array(plain, pa.float64() if numeric else pa.string())
        column = column.take(pa.array(np.repeat(np.arange(len(repeats)), repeats)))
        table = table.append_column(f"fact_{fact}" if fact in reserved else fact, column)
    return table
