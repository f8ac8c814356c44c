"""Counts a trace: one row for each layer. Every call is in exactly one row, and operators without a rule are
listed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from addercost.arithmetic import Arithmetic, OpCounts, arithmetic_named
from addercost.counts.call_work import work_of
from addercost.counts.conventions import CountingConvention, convention_named
from addercost.counts.memory import GROUPED, packed_traffic
from addercost.counts.rules.attention import block_sites, kept_sites
from addercost.counts.runs import LayerRuns, runs_of
from addercost.counts.views import ModuleCounts, OperatorCounts, by_module
from addercost.counts.what_if import apply
from addercost.counts.work import OperatorWork
from addercost.errors import ArgumentError
from addercost.garbage_collection import without_garbage_collection
from addercost.trace.record import NODE, OpCall, TensorSpec, Trace


@dataclass(frozen=True, slots=True)
class LayerCounts:
    """The calls that one module made itself, without those of the modules inside it.

    op: the operator with most of the operations. ops: how many calls of each operator. parameters: elements
    of the parameters that are first used here, so that the rows add up to the model's. bytes_read,
    bytes_written: what the calls must move, by `addercost.counts.memory.traffic`. runs: the kernels that they
    start and the bytes that these move; None where a saved profile does not have them. calls: the calls
    themselves; None in a saved profile, which has only their sums. module_calls: how often the module's
    forward ran; None where that is unknown. call_shapes: the shape of each output of a module that ran
    several times. nodes: the nodes of a graph file that the layer consists of.
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
    runs: LayerRuns | None = None
    calls: tuple[OpCall, ...] | None = field(default=None, compare=False, repr=False)
    module_calls: int | None = None
    call_shapes: tuple[tuple[int, ...], ...] = ()
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UncountedOp:
    """An operator that no rule counts, with how often and in which modules it ran. If there is one, totals
    are lower bounds."""

    op: str
    calls: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelCounts:
    """The rows of a model, one for each layer, with the convention and the changes by which they were
    counted.

    total, mac_sites: the sums of the rows. operators: the same calls by operator; None where only rows are
    known, as in a saved profile.
    """

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
    operators: tuple[OperatorCounts, ...] | None = field(default=None, compare=False)
    total: OpCounts = field(init=False)
    mac_sites: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", OpCounts.sum(layer.counts for layer in self.layers))
        object.__setattr__(self, "mac_sites", sum(layer.mac_sites for layer in self.layers))

    @property
    def complete(self) -> bool:
        """Whether every operator was counted. If not, totals are lower bounds."""
        return not self.uncounted

    def by_operator(self) -> tuple[OperatorCounts, ...]:
        """One row for each operator, in the order in which they first ran. The rows add up to `total` and
        `mac_sites`.

        Raises ArgumentError for the counts of a saved profile, which has layers but no operators.
        """
        if self.operators is None:
            raise ArgumentError(
                f"the counts of {self.model} are not known by operator: a saved profile keeps layers only",
                "count the model or its trace again",
            )
        return self.operators

    def by_module(self) -> tuple[ModuleCounts, ...]:
        """One row for every module that computes something or contains one that does. A row is the sum over
        the module and everything inside it.

        Each module comes before those inside it. The first row, with path "", is the whole model, so it
        equals `total` and `mac_sites`."""
        return by_module(self.layers)


@without_garbage_collection()
def count(
    trace: Trace,
    convention: str | CountingConvention = "full",
    *,
    arithmetic: Arithmetic | str | None = None,
    what_if: Sequence[str] = (),
    keep_first_last: bool = False,
) -> ModelCounts:
    """Counts a trace by a convention.

    arithmetic: every convolution and linear layer is counted in this one instead of its own. Products of two
    activations (attention) stay as they are unless the arithmetic is also meant for them. what_if: other
    changes of the network, applied in order before that; see `addercost.counts.what_if`. keep_first_last: the
    first and the last of those layers stay as they are, as in the AdderNet paper.
    Raises ArgumentError for an unknown convention, arithmetic or what-if.
    """
    rule = convention_named(convention) if isinstance(convention, str) else convention
    wanted = arithmetic_named(arithmetic) if arithmetic is not None else None
    changes = (*what_if, *((wanted.value,) if wanted else ()))
    repeats, shapes = trace.repeats, {} if what_if else _shapes_by_call(trace)
    for change in changes:
        trace = apply(trace, change, keep_first_last)
    rows: dict[str, _LayerSum] = {}
    operators: dict[str, _OperatorSum] = {}
    uncounted: dict[str, list[OpCall]] = {}
    first_use: set[str] = set()
    # Rules ask neither for names nor for numbers of tensors, so equal calls are counted once.
    known: dict[Hashable, _Counted] = {}
    for call in trace.calls:
        repeated = id(call.like)
        counted = known.get(repeated)
        if counted is None:
            pattern = call.pattern()
            counted = known.get(pattern)
            if counted is None:
                counted = known[pattern] = _counted(call, rule)
            known[repeated] = counted
        row = rows.get(call.module)
        if row is None:
            row = rows[call.module] = _LayerSum(call.module, trace.modules.get(call.module, ""))
        if counted.work is None:
            uncounted.setdefault(counted.name, []).append(call)
        row.add(call, counted)
        operator = operators.get(counted.name)
        if operator is None:
            operator = operators[counted.name] = _OperatorSum(counted.name, counted.work is not None)
        operator.add(call, counted)
        for spec in call.tensors():
            if spec.role == "parameter" and spec.name not in first_use:
                first_use.add(spec.name)
                row.parameters += trace.parameters.get(spec.name, spec.numel)
    used = sum(trace.parameters.get(name, 0) for name in first_use)
    attention = [
        call
        for name, operator in operators.items()
        if "attention" in name or "_attn" in name
        for call in operator.calls
    ]
    return ModelCounts(
        model=trace.model,
        convention=rule,
        arithmetic=wanted,
        what_if=tuple(what_if),
        layers=tuple(
            row.layer(_calls_of(path, repeats), tuple(shapes.get(path, {}).values()))
            for path, row in rows.items()
        ),
        uncounted=tuple(
            UncountedOp(op, len(calls), tuple(dict.fromkeys(call.module for call in calls)))
            for op, calls in uncounted.items()
        ),
        parameters=trace.parameter_count,
        unused_parameters=trace.parameter_count - used,
        tracer=trace.tracer,
        inputs=trace.inputs,
        notes=(
            *trace.notes,
            *_kept_share(attention),
            *_block_share(attention),
            *_routed_rows(trace.tracer, operators),
        ),
        operators=tuple(operator.row() for operator in operators.values()),
    )


def _calls_of(path: str, repeats: Mapping[str, tuple[int, ...]] | None) -> int | None:
    return None if repeats is None else len(repeats.get(path, (0,)))


def _shapes_by_call(trace: Trace) -> dict[str, dict[int, tuple[int, ...]]]:
    """For each module whose forward ran several times: the shape of the last output of each run, by path and
    run.
    """
    found: dict[str, dict[int, tuple[int, ...]]] = {path: {} for path in trace.repeats or ()}
    for call in trace.calls if found else ():
        if call.module in found and call.outputs and "backward" not in call.tags:
            turn = bisect_right((trace.repeats or {})[call.module], call.index)
            found[call.module][turn] = call.output.shape
    return found


def _kept_share(calls: Sequence[OpCall]) -> tuple[str, ...]:
    """A note for attention with masks, if there is any: it is counted whole, and this share of it is kept by
    the masks.
    """
    attention = [(call, pair) for call in calls if (pair := kept_sites(call)) is not None]
    pairs = [pair for _, pair in attention]
    whole, kept = (sum(pair[i] for pair in pairs) for i in (0, 1))
    if not whole:
        return ()
    kind = "causal" if all(call.args.get("is_causal") for call, _ in attention) else "masked"
    return (
        f"{kind} attention is counted whole, {whole:,} MAC sites; its masks keep {kept:,} of them "
        f"({kept / whole:.1%})",
    )


def _block_share(calls: Sequence[OpCall]) -> tuple[str, ...]:
    """A note for attention that computes only some blocks of its scores, if there is any."""
    pairs = [pair for call in calls if (pair := block_sites(call)) is not None]
    whole, computed = (sum(pair[i] for pair in pairs) for i in (0, 1))
    if computed == whole:
        return ()
    return (
        f"flex_attention is counted by the blocks that its masks keep, {computed:,} of {whole:,} MAC sites "
        f"({computed / whole:.1%})",
    )


def _routed_rows(tracer: str, operators: Collection[str]) -> tuple[str, ...]:
    """A note for mixtures of experts whose routing is unknown because the trace has no data."""
    if tracer == "real" or not any(name in GROUPED for name in operators):
        return ()
    return (
        "products in groups (mixtures of experts) are counted for all rows that the router hands on, top-k × "
        "tokens; which expert takes which row is not known, so the weights of as many experts as there are "
        "rows are read, at most all",
    )


class _Counted(NamedTuple):
    """What one call counts. name: of its operator, without the overload. short: the same without the
    library's name, such as "mm". sites: that count as such. moved: bytes read and written."""

    name: str
    short: str
    work: OperatorWork | None
    sites: int
    counts: OpCounts
    moved: tuple[int, int]
    runs: LayerRuns


def _counted(call: OpCall, rule: CountingConvention) -> _Counted:
    work = work_of(call)
    moved = packed_traffic(call, work)
    return _Counted(
        call.name,
        call.name.rpartition(".")[2],
        work,
        work.mac_sites if work is not None and work.sites else 0,
        rule.counts(call, work) if work is not None else OpCounts(),
        moved,
        runs_of(call, moved),
    )


class _LayerSum:
    """The row of one layer while it is being added up."""

    def __init__(self, path: str, kind: str) -> None:
        self.path = path
        self.type = kind
        self.parameters = 0
        self.ops: dict[str, int] = {}
        self.parts: list[OpCounts] = []
        self.runs: list[LayerRuns] = []
        self.weights: dict[str, int] = {}
        self.mac_sites = 0
        self.arithmetics: set[Arithmetic] = set()
        self.output_shape: tuple[int, ...] = ()
        self.bytes_read = 0
        self.bytes_written = 0
        self.calls: list[OpCall] = []

    def add(self, call: OpCall, counted: _Counted) -> None:
        self.calls.append(call)
        name = counted.short
        self.ops[name] = self.ops.get(name, 0) + 1
        self.weights[name] = self.weights.get(name, 0) + counted.counts.total + counted.sites
        self.parts.append(counted.counts)
        if call.outputs and "backward" not in call.tags:
            self.output_shape = call.outputs[0].shape
        if counted.work is not None and counted.sites:
            self.mac_sites += counted.sites
            self.arithmetics.update(
                sites.arithmetic
                for sites in counted.work.sites
                if sites.weighted or sites.arithmetic is not Arithmetic.MAC
            )
        self.bytes_read += counted.moved[0]
        self.bytes_written += counted.moved[1]
        self.runs.append(counted.runs)

    def layer(self, module_calls: int | None, call_shapes: tuple[tuple[int, ...], ...]) -> LayerCounts:
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
            runs=LayerRuns.sum(self.runs),
            calls=tuple(self.calls),
            module_calls=module_calls,
            call_shapes=call_shapes,
            nodes=_nodes_of(self.calls),
        )


def _nodes_of(calls: Sequence[OpCall]) -> tuple[str, ...]:
    tags = (tag for call in calls for tag in call.tags if tag.startswith(NODE))
    return tuple(dict.fromkeys(tag.removeprefix(NODE) for tag in tags))


class _OperatorSum:
    """The row of one operator while it is being added up."""

    def __init__(self, op: str, counted: bool) -> None:
        self.op = op
        self.counted = counted
        self.calls: list[OpCall] = []
        self.parts: list[OpCounts] = []
        self.mac_sites = 0
        self.bytes_read = 0
        self.bytes_written = 0

    def add(self, call: OpCall, counted: _Counted) -> None:
        self.calls.append(call)
        self.parts.append(counted.counts)
        self.mac_sites += counted.sites
        self.bytes_read += counted.moved[0]
        self.bytes_written += counted.moved[1]

    def row(self) -> OperatorCounts:
        return OperatorCounts(
            op=self.op,
            calls=len(self.calls),
            counts=OpCounts.sum(self.parts),
            mac_sites=self.mac_sites,
            bytes_read=self.bytes_read,
            bytes_written=self.bytes_written,
            counted=self.counted,
        )
