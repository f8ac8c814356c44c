"""From the operations of a layer to the instructions of a CPU. Three ways, by name.

`paper`: one operation is one instruction, as the AdderNet paper charges it; only what was counted is charged.
`scalar`: the instructions of a kernel on scalar registers; binary layers work on packed words.
`simd`: the same on the fastest vectors the table has figures for, with fused multiply-add, fused absolute
difference, sums of absolute differences and dot products where they exist.

`scalar` and `simd` spell an adder layer out in full: |·| takes an instruction whether or not a convention
counts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.charges import Charge, many_at_once, one_at_a_time
from addercost.cost.sequences import SiteSequence, site_sequence
from addercost.hardware.schema import Cpu, Instruction

Key = tuple[OpClass, str]


class Lowering(StrEnum):
    PAPER = "paper"
    SCALAR = "scalar"
    SIMD = "simd"


@dataclass(slots=True)
class Lowered:
    """`work`: (instruction, executions); `missing`: operations without a figure; `assumptions`: what stood
    in.
    """

    work: list[tuple[Instruction, float]] = field(default_factory=list)
    missing: dict[Key, int] = field(default_factory=dict)
    assumptions: dict[str, None] = field(default_factory=dict)


# Where the additions of an accumulation may be counted: at the operands' format or a wider one.
ACCUMULATORS = {
    "int8": ("int8", "int32", "int16", "int64"),
    "uint8": ("uint8", "int32", "int16", "int64", "int8"),
    "int16": ("int16", "int32", "int64"),
    "int32": ("int32", "int64"),
    "fp16": ("fp16", "fp32"),
    "bf16": ("bf16", "fp32"),
    "fp32": ("fp32",),
    "fp64": ("fp64",),
}


class Lowerer:
    """Lowers layer after layer for one CPU, remembering each choice it made."""

    def __init__(self, cpu: Cpu, lowering: Lowering) -> None:
        self.cpu = cpu
        self.lowering = lowering
        self._charges: dict[Key, Charge | None] = {}
        self._sequences: dict[tuple[Arithmetic, str], SiteSequence | None] = {}
        self._find: Callable[[OpClass, str], Charge | None]
        if lowering is Lowering.PAPER:
            self._find = partial(one_at_a_time, cpu, prefer=cpu.preferred_float_form)
        elif lowering is Lowering.SCALAR:
            self._find = partial(one_at_a_time, cpu)
        else:
            self._find = partial(many_at_once, cpu)

    def charge(self, op_class: OpClass, number_format: str) -> Charge | None:
        key = (op_class, number_format)
        if key not in self._charges:
            self._charges[key] = self._find(op_class, number_format)
        return self._charges[key]

    def sequence(self, arithmetic: Arithmetic, number_format: str) -> SiteSequence | None:
        key = (arithmetic, number_format)
        if key not in self._sequences:
            scalar = self.lowering is Lowering.SCALAR
            self._sequences[key] = site_sequence(self.cpu, arithmetic, number_format, scalar)
        return self._sequences[key]

    def lower(self, counts: OpCounts, arithmetic: Arithmetic | None = None, sites: int = 0) -> Lowered:
        """`arithmetic` and `sites` are the layer's own; an adder layer is only recognised by them."""
        lowered = Lowered()
        left = {(op_class, f): n for op_class, f, n in counts}
        if self.lowering is not Lowering.PAPER:
            self._fuse(left, arithmetic, sites, lowered)
        for (op_class, number_format), n in left.items():
            if n:
                self._charge(op_class, number_format, n, lowered)
        return lowered

    def _charge(self, op_class: OpClass, number_format: str, n: int, lowered: Lowered) -> None:
        charge = self.charge(op_class, number_format)
        # Bit operations of the binary layer are not worth an instruction each outside the paper's rule.
        if charge is None or (op_class is OpClass.POPCOUNT and self.lowering is not Lowering.PAPER):
            lowered.missing[op_class, number_format] = n
            return
        if charge.assumption:
            lowered.assumptions[f"{op_class} ({number_format}): {charge.assumption}"] = None
        together = charge.ops_per_instruction
        lowered.work.append((charge.instruction, n if together == 1 else n / together))

    def _fuse(
        self, left: dict[Key, int], arithmetic: Arithmetic | None, sites: int, lowered: Lowered
    ) -> None:
        """Takes the inner loops' operations out of `left` and puts their instructions into `lowered`."""
        for op_class, number_format in list(left):
            if op_class is OpClass.XNOR:
                n = max(left[OpClass.XNOR, number_format], _total(left, OpClass.POPCOUNT))
                if self._sites(Arithmetic.XNOR, number_format, n, lowered):
                    left[op_class, number_format] = 0
                    _take(left, OpClass.POPCOUNT, [f for c, f in left if c is OpClass.POPCOUNT], n)
            elif op_class is OpClass.SHIFT and arithmetic is Arithmetic.SHIFT:
                n = left[op_class, number_format]
                if self._sites(Arithmetic.SHIFT, number_format, n, lowered):
                    left[op_class, number_format] = 0
                    _take(left, OpClass.ADD, _accumulators(number_format), n)
            elif op_class is OpClass.MUL:
                formats = _accumulators(number_format)
                n = min(left[op_class, number_format], sum(left.get((OpClass.ADD, f), 0) for f in formats))
                if n and self._sites(Arithmetic.MAC, number_format, n, lowered):
                    left[op_class, number_format] -= n
                    _take(left, OpClass.ADD, formats, n)
            elif op_class is OpClass.ADD and arithmetic is Arithmetic.ADDER and sites:
                formats = _accumulators(number_format)
                if self._sites(Arithmetic.ADDER, number_format, sites, lowered):
                    _take(left, OpClass.ADD, formats, 2 * sites)
                    _take(left, OpClass.ABS, formats, sites)
                    sites = 0

    def _sites(self, arithmetic: Arithmetic, number_format: str, n: int, lowered: Lowered) -> bool:
        sequence = self.sequence(arithmetic, number_format)
        if sequence is None:
            return False
        if sequence.assumption:
            lowered.assumptions[f"{arithmetic} ({number_format}): {sequence.assumption}"] = None
        for step in sequence.steps:
            lowered.work.append((step.instruction, step.times * n / sequence.sites))
        return True


def _accumulators(number_format: str) -> tuple[str, ...]:
    return ACCUMULATORS.get(number_format, (number_format,))


def _total(left: dict[Key, int], op_class: OpClass) -> int:
    return sum(n for (c, _), n in left.items() if c is op_class)


def _take(left: dict[Key, int], op_class: OpClass, formats: tuple[str, ...] | list[str], n: int) -> None:
    """Takes up to `n` operations out of `left`, from the first formats first: a K − 1 count has fewer than
    K.
    """
    for f in formats:
        taken = min(n, left.get((op_class, f), 0))
        if taken:
            left[op_class, f] -= taken
            n -= taken
