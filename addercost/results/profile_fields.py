"""The fields of a profile's JSON document, in their order. `results/profile.py` writes and reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from addercost.arithmetic import Arithmetic
from addercost.cost.accelerator.estimate import AcceleratorCost
from addercost.counts.peak_memory import ModelMemory
from addercost.reading import Amount, Count, Size, Whole
from addercost.results.plain import omitted_where_empty


@dataclass(frozen=True, slots=True)
class UncountedFields:
    op: str
    calls: Count
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InputFields:
    shape: tuple[Size, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class RunFields:
    kernel_calls: Count
    bytes: Count


@dataclass(frozen=True, slots=True)
class RunsFields:
    eager: RunFields
    fused: RunFields


@dataclass(frozen=True, slots=True)
class LayerFields:
    path: str
    type: str
    op: str
    ops: Mapping[str, Size]
    output_shape: tuple[Size, ...]
    parameters: Count
    mac_sites: Count
    arithmetic: Arithmetic | None
    bytes_read: Count
    bytes_written: Count
    counts: Mapping[str, Count]
    counts_by_format: Mapping[str, Mapping[str, Count]]
    runs: RunsFields | None = None
    calls: Whole | None = None
    output_shapes: tuple[tuple[Size, ...], ...] = ()
    nodes: tuple[str, ...] = omitted_where_empty()


@dataclass(frozen=True, slots=True)
class MissingFields:
    figure: str
    count: Count


@dataclass(frozen=True, slots=True)
class IntervalFields:
    low_s: Amount
    high_s: Amount


@dataclass(frozen=True, slots=True)
class LayerCostFields:
    path: str
    cycles: Amount
    bound: str
    complete: bool
    interval: IntervalFields | None = None


@dataclass(frozen=True, slots=True)
class CostFields:
    hardware: str
    model: str
    lowering: str
    cycles: Amount
    seconds: Amount | None
    complete: bool
    missing: tuple[MissingFields, ...]
    assumptions: tuple[str, ...]
    layers: tuple[LayerCostFields, ...]
    interval: IntervalFields | None = None


@dataclass(frozen=True, slots=True)
class LayerEnergyFields:
    path: str
    arithmetic_j: Amount
    memory_j: Mapping[str, Amount]
    complete: bool


@dataclass(frozen=True, slots=True)
class EnergyFields:
    hardware: str
    total_j: Amount
    arithmetic_j: Amount
    complete: bool
    missing: tuple[MissingFields, ...]
    assumptions: tuple[str, ...]
    layers: tuple[LayerEnergyFields, ...]


@dataclass(frozen=True, slots=True)
class ProfileFields:
    model: str
    convention: str
    mac_sites: Count
    arithmetic: Arithmetic | None
    what_if: tuple[str, ...]
    keep_first_last: bool
    tracer: str
    complete: bool
    uncounted: tuple[UncountedFields, ...]
    inputs: tuple[InputFields, ...]
    parameters: Count
    unused_parameters: Count
    notes: tuple[str, ...]
    totals: Mapping[str, Count]
    totals_by_format: Mapping[str, Mapping[str, Count]]
    layers: tuple[LayerFields, ...]
    cost: tuple[CostFields, ...]
    energy: tuple[EnergyFields, ...]
    memory: ModelMemory | None = None
    accelerators: tuple[AcceleratorCost, ...] = ()
