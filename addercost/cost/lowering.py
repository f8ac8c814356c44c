"""From the operations of layers to the instructions of a target. Four ways, by name.

`paper`: one operation is one instruction, as the AdderNet paper charges it; only what was counted is charged.
`scalar`: the instructions of a kernel on scalar registers; binary layers work on packed words.
`simd`: the same on the fastest vectors the table has figures for, with fused multiply-add, fused absolute
difference, sums of absolute differences and dot products where they exist.
`kernels`: the same, and a division, a root or a function without a figure is a polynomial.

All but `paper` spell an adder layer out in full: |·| takes an instruction whether or not a convention
counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from addercost.arithmetic import Arithmetic, OpClass
from addercost.cost.charges import Charge, many_at_once, one_at_a_time, or_polynomial
from addercost.cost.columns import ONE_LAYER, Column, Columns
from addercost.cost.layers import Key, LayerKind
from addercost.cost.sequences import SiteSequence, site_sequence
from addercost.cost.target import Target
from addercost.counts.arithmetics import DEFINITIONS
from addercost.counts.arithmetics.definition import ArithmeticDefinition, Steps
from addercost.hardware.schema.instruction import Instruction


class Lowering(StrEnum):
    PAPER = "paper"
    SCALAR = "scalar"
    SIMD = "simd"
    KERNELS = "kernels"


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations that layers perform, as columns.

    counts: how many of each operation. sites: the number of pairs of an input and a weight. of_arithmetic:
    for each arithmetic, 1 for layers that use it and 0 for others; an arithmetic that no layer uses may be
    absent.
    """

    counts: Mapping[Key, Column]
    sites: Column = 0
    of_arithmetic: Mapping[Arithmetic, Column] = field(default_factory=dict)


def operations_of(kind: LayerKind) -> Operations:
    """The operations of one layer."""
    counts = {(op_class, number_format): n for op_class, number_format, n in kind.counts}
    arithmetic = {} if kind.arithmetic is None else {kind.arithmetic: 1}
    return Operations(counts, kind.mac_sites, arithmetic)


@dataclass(slots=True)
class Lowered:
    """executions: instructions and how often each is executed. missing: operations that the target has no
    instruction for, and how many. assumptions: what stood in for missing figures.
    """

    executions: list[tuple[Instruction, Column]] = field(default_factory=list)
    missing: dict[Key, Column] = field(default_factory=dict)
    assumptions: dict[str, None] = field(default_factory=dict)


_LOOPS: dict[OpClass, list[ArithmeticDefinition]] = {}
for _made in DEFINITIONS.values():
    _LOOPS.setdefault(_made.loop.counted_by, []).append(_made)


class Lowerer:
    """Lowers layers for one target. Each choice of an instruction is made once and kept."""

    def __init__(self, target: Target, lowering: Lowering, columns: Columns = ONE_LAYER) -> None:
        self.lowering = lowering
        self._target = target
        self._columns = columns
        self._charges: dict[Key, Charge | None] = {}
        self._sequences: dict[tuple[Arithmetic, str], SiteSequence | None] = {}
        self._find: Callable[[OpClass, str], Charge | None]
        if lowering is Lowering.PAPER:
            self._find = partial(one_at_a_time, target, prefer=target.preferred_float_form)
        elif lowering is Lowering.SCALAR:
            self._find = partial(one_at_a_time, target)
        elif lowering is Lowering.KERNELS:
            self._find = partial(or_polynomial, target)
        else:
            self._find = partial(many_at_once, target)

    def lower(self, operations: Operations) -> Lowered:
        lowered = Lowered()
        left = dict(operations.counts)
        if self.lowering is not Lowering.PAPER:
            self._fuse(operations, left, lowered)
        for (op_class, number_format), n in left.items():
            if self._columns.any(n):
                self._charge(op_class, number_format, n, lowered)
        return lowered

    def _charge(self, op_class: OpClass, number_format: str, n: Column, lowered: Lowered) -> None:
        key = (op_class, number_format)
        if key not in self._charges:
            self._charges[key] = self._find(op_class, number_format)
        charge = self._charges[key]
        # Outside the paper's rule, adding up single bits is not worth an instruction each.
        if charge is None or (op_class is OpClass.POPCOUNT and self.lowering is not Lowering.PAPER):
            lowered.missing[key] = n
            return
        if charge.assumption:
            lowered.assumptions[f"{op_class} ({number_format}): {charge.assumption}"] = None
        together = charge.ops_per_instruction
        lowered.executions.append((charge.instruction, n if together == 1 else n / together))

    def _fuse(self, operations: Operations, left: dict[Key, Column], lowered: Lowered) -> None:
        """Moves the operations of inner loops: out of `left`, and as the loops' instructions into
        `lowered`.
        """
        done: set[OpClass] = set()
        for op_class, _ in operations.counts:
            if op_class in done:
                continue
            done.add(op_class)
            formats = [f for other, f in operations.counts if other is op_class]
            for definition in _LOOPS.get(op_class, ()):
                self._fuse_loop(definition, formats, operations, left, lowered)

    def _fuse_loop(
        self,
        definition: ArithmeticDefinition,
        formats: list[str],
        operations: Operations,
        left: dict[Key, Column],
        lowered: Lowered,
    ) -> None:
        columns, loop = self._columns, definition.loop
        own = operations.of_arithmetic.get(definition.arithmetic, 0)
        if loop.own_layers and not columns.any(own):
            return
        sites = columns.where(own, operations.sites)
        for number_format in sorted(formats, key=loop.order):
            key = (loop.counted_by, number_format)
            others = [
                ([(op_class, f) for f in wanted(number_format)], times)
                for op_class, times, wanted in loop.others
            ]
            beside = sum(left.get(other, 0) for keys, _ in others for other in keys)
            match loop.steps:
                case Steps.PAIRS:
                    n = columns.minimum(left[key], beside)
                case Steps.EITHER:
                    n = columns.where(left[key], columns.maximum(left[key], beside))
                case Steps.SITES:
                    n = columns.minimum(left[key], sites)
                case Steps.OPERATIONS:
                    n = left[key]
            if loop.own_layers:
                n = columns.where(own, n)
            if self._sites(definition.arithmetic, loop.operands(number_format), n, lowered):
                self._take(left, [key], n)
                for keys, times in others:
                    self._take(left, keys, times * n)
                sites = sites - n

    def _sites(self, arithmetic: Arithmetic, number_format: str, n: Column, lowered: Lowered) -> bool:
        """Adds the instructions of `n` sites to `lowered`. False where there are no sites, or the target has
        no instructions for them.
        """
        if not self._columns.any(n):
            return False
        key = (arithmetic, number_format)
        if key not in self._sequences:
            scalar = self.lowering is Lowering.SCALAR
            self._sequences[key] = site_sequence(self._target, arithmetic, number_format, scalar)
        sequence = self._sequences[key]
        if sequence is None:
            return False
        if sequence.assumption:
            lowered.assumptions[f"{arithmetic} ({number_format}): {sequence.assumption}"] = None
        for step in sequence.steps:
            lowered.executions.append((step.instruction, step.times * n / sequence.sites))
        return True

    def _take(self, left: dict[Key, Column], keys: Iterable[Key], n: Column) -> None:
        """Takes up to `n` operations out of `left`, those of the first keys first. There may be fewer than
        `n`: a sum of K products has K − 1 additions by some conventions.
        """
        for key in keys:
            if key in left:
                taken = self._columns.minimum(n, left[key])
                left[key] = left[key] - taken
                n = n - taken
