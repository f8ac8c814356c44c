"""Trace → ModelCounts: one row a layer, every call in exactly one row, nothing silently left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from addercost.arithmetic import Arithmetic, OpCounts, arithmetic_named
from addercost.counts.call_work import work_of
from addercost.counts.conventions import CountingConvention, convention_named
from addercost.counts.memory import traffic
from addercost.counts.what_if import apply
from addercost.counts.work import Work
from addercost.trace.record import OpCall, TensorSpec, Trace


@dataclass(frozen=True, slots=True)
class LayerCounts:
    """What the calls made directly by one module cost.

    op: the operator that does most of it; ops: how many calls of each operator.
    parameters: elements of the parameters first used here, so that rows sum to the model's.
    bytes_read, bytes_written: what its calls must move, by `addercost.counts.memory.traffic`.
    """

    path: str
    type: str
    op: str
    ops: Mapping[str, int]
    output_shape: tuple[int, ...]
    parameters: int
    counts: OpCounts
    mac_sites: int
    arithmetic: Arithmetic | None = None
    bytes_read: int = 0
    bytes_written: int = 0


@dataclass(frozen=True, slots=True)
class UncountedOp:
    """An operator without a rule: where it ran and how often. With one of these a total is a lower bound."""

    op: str
    calls: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelCounts:
    """The rows and what they mean: `total` is their sum, `complete` says whether nothing is missing."""

    model: str
    convention: CountingConvention
    arithmetic: Arithmetic | None
    layers: tuple[LayerCounts, ...]
    uncounted: tuple[UncountedOp, ...] = ()
    parameters: int = 0
    unused_parameters: int = 0
    what_if: tuple[str, ...] = ()
    tracer: str = "meta"
    inputs: tuple[TensorSpec, ...] = ()
    notes: tuple[str, ...] = ()
    total: OpCounts = field(init=False)
    mac_sites: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", OpCounts.sum(layer.counts for layer in self.layers))
        object.__setattr__(self, "mac_sites", sum(layer.mac_sites for layer in self.layers))

    @property
    def complete(self) -> bool:
        return not self.uncounted


def count(
    trace: Trace,
    convention: str | CountingConvention = "full",
    *,
    arithmetic: Arithmetic | str | None = None,
    what_if: Sequence[str] = (),
    keep_first_last: bool = False,
) -> ModelCounts:
    """Counts a trace by a convention.

    arithmetic: what if every convolution and linear layer used this one instead; products of two activations
    (attention) stay. what_if: other changes of the network, applied before that and in order; see
    `addercost.counts.what_if`. keep_first_last: the first and last of those layers stay as they are, as in
    the paper. Raises ArgumentError for an unknown convention, arithmetic or what-if.
    """
    rule = convention_named(convention) if isinstance(convention, str) else convention
    wanted = arithmetic_named(arithmetic) if arithmetic is not None else None
    changes = (*what_if, *((wanted.value,) if wanted else ()))
    for change in changes:
        trace = apply(trace, change, keep_first_last)
    rows: dict[str, _Row] = {}
    uncounted: dict[str, list[OpCall]] = {}
    first_use: set[str] = set()
    for call in trace.calls:
        work = work_of(call)
        row = rows.get(call.module)
        if row is None:
            row = rows[call.module] = _Row(call.module, trace.modules.get(call.module, ""))
        if work is None:
            uncounted.setdefault(call.name, []).append(call)
        counts = rule.counts(call, work) if work is not None else OpCounts()
        row.add(call, work, counts)
        for spec in call.tensors():
            if spec.role == "parameter" and spec.name not in first_use:
                first_use.add(spec.name)
                row.parameters += trace.parameters.get(spec.name, spec.numel)
    used = sum(trace.parameters.get(name, 0) for name in first_use)
    return ModelCounts(
        model=trace.model,
        convention=rule,
        arithmetic=wanted,
        what_if=tuple(what_if),
        layers=tuple(row.layer() for row in rows.values()),
        uncounted=tuple(
            UncountedOp(op, len(calls), tuple(dict.fromkeys(call.module for call in calls)))
            for op, calls in uncounted.items()
        ),
        parameters=trace.parameter_count,
        unused_parameters=trace.parameter_count - used,
        tracer=trace.tracer,
        inputs=trace.inputs,
        notes=trace.notes,
    )


class _Row:
    """One layer's row while it is being added up."""

    def __init__(self, path: str, kind: str) -> None:
        self.path = path
        self.type = kind
        self.parameters = 0
        self.ops: dict[str, int] = {}
        self.parts: list[OpCounts] = []
        self.weights: dict[str, int] = {}
        self.mac_sites = 0
        self.arithmetics: set[Arithmetic] = set()
        self.output_shape: tuple[int, ...] = ()
        self.bytes_read = 0
        self.bytes_written = 0

    def add(self, call: OpCall, work: Work | None, counts: OpCounts) -> None:
        name = call.name.rpartition(".")[2]
        self.ops[name] = self.ops.get(name, 0) + 1
        self.weights[name] = self.weights.get(name, 0) + counts.total + (work.mac_sites if work else 0)
        self.parts.append(counts)
        if call.outputs and "backward" not in call.tags:
            self.output_shape = call.output.shape
        if work is not None:
            self.mac_sites += work.mac_sites
            self.arithmetics.update(sites.arithmetic for sites in work.sites if sites.weighted)
        read, written = traffic(call)
        self.bytes_read += read
        self.bytes_written += written

    def layer(self) -> LayerCounts:
        return LayerCounts(
            path=self.path,
            type=self.type,
            op=max(self.ops, key=lambda name: self.weights[name]),
            ops=self.ops,
            output_shape=self.output_shape,
            parameters=self.parameters,
            counts=OpCounts.sum(self.parts),
            mac_sites=self.mac_sites,
            arithmetic=next(iter(self.arithmetics)) if len(self.arithmetics) == 1 else None,
            bytes_read=self.bytes_read,
            bytes_written=self.bytes_written,
        )
