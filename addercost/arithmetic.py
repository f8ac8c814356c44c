"""Mathematical operations: their classes, counts of them, and the arithmetics that a layer can use.

Counts are of operations. `addercost.cost.lowering` says by which instructions hardware executes an operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from addercost.errors import unknown_name


class OpClass(StrEnum):
    """A class of scalar operations on one number format. The order is that of columns in tables."""

    MUL = "mul"
    ADD = "add"
    """Addition, subtraction and negation (a subtraction from zero)."""
    COMPARE = "compare"
    """One comparison, or one minimum or maximum of two numbers."""
    ABS = "abs"
    DIVIDE = "divide"
    """Division, reciprocal and remainder."""
    SQRT = "sqrt"
    TRANSCENDENTAL = "transcendental"
    """One evaluation of exp, log, a power, a trigonometric or another special function."""
    XNOR = "xnor"
    POPCOUNT = "popcount"
    """Adding one bit of a popcount into its sum: the binary layer's accumulation."""
    SHIFT = "shift"
    LOGIC = "logic"
    """And, or, not and exclusive or of bits or truth values."""
    LOOKUP = "lookup"
    """Reading an entry of a small table by bits of weights. The format is that of the entry."""


_COLUMN = {op_class: i for i, op_class in enumerate(OpClass)}


@dataclass(frozen=True, slots=True)
class OpCounts:
    """How many operations of each (class, number format): a commutative monoid under `+`, never negative.

    `items` is sorted and holds no zeros, so equal counts compare equal. Formats are written as
    `fp32`, `fp16`, `bf16`, `fp64`, `int8`, `int32`, `bool`, ...
    """

    items: tuple[tuple[OpClass, str, int], ...] = ()

    @classmethod
    def of(cls, number_format: str = "fp32", /, **counts: int) -> OpCounts:
        """`OpCounts.of("fp32", mul=3, add=2)`. Raises ValueError for a negative count or unknown class."""
        return cls.from_mapping({(OpClass(name), number_format): n for name, n in counts.items()})

    @classmethod
    def from_mapping(cls, counts: Mapping[tuple[OpClass, str], int]) -> OpCounts:
        """Counts by (class, number format). Raises ValueError for a negative one."""
        for (op_class, number_format), n in counts.items():
            if n < 0:
                raise ValueError(f"negative count: {n} {op_class} ({number_format})")
        kept = [(op_class, number_format, n) for (op_class, number_format), n in counts.items() if n]
        if len(kept) > 1:
            kept.sort(key=lambda item: (_COLUMN[item[0]], item[1]))
        return cls(tuple(kept))

    @classmethod
    def sum(cls, parts: Iterable[OpCounts]) -> OpCounts:
        """The sum of many counts, in one pass."""
        parts = [part for part in parts if part.items]
        if len(parts) < 2:
            return parts[0] if parts else cls()
        total: dict[tuple[OpClass, str], int] = {}
        for part in parts:
            for op_class, number_format, n in part.items:
                key = (op_class, number_format)
                total[key] = total.get(key, 0) + n
        return cls.from_mapping(total)

    def __add__(self, other: OpCounts) -> OpCounts:
        return OpCounts.sum((self, other))

    def __mul__(self, times: int) -> OpCounts:
        if times < 0:
            raise ValueError(f"cannot repeat operations {times} times")
        return OpCounts(tuple((c, f, n * times) for c, f, n in self.items)) if times else OpCounts()

    def __getitem__(self, op_class: OpClass) -> int:
        """How many operations of one class there are, over all formats."""
        return sum(n for c, _, n in self.items if c is op_class)

    def __bool__(self) -> bool:
        return bool(self.items)

    def __iter__(self) -> Iterator[tuple[OpClass, str, int]]:
        return iter(self.items)

    @property
    def total(self) -> int:
        return sum([n for _, _, n in self.items])

    def by_class(self) -> dict[str, int]:
        """`{"mul": …, "add": …, …}`: these two even where they are 0, then the other classes that occur, in
        the order of columns.
        """
        counts = {OpClass.MUL.value: 0, OpClass.ADD.value: 0}
        for op_class, _, n in self.items:
            counts[op_class.value] = counts.get(op_class.value, 0) + n
        return counts

    def by_format(self) -> dict[str, dict[str, int]]:
        """`{"fp32": {"mul": …}, "int8": {…}}`."""
        counts: dict[str, dict[str, int]] = {}
        for op_class, number_format, n in self.items:
            counts.setdefault(number_format, {})[op_class.value] = n
        return counts

    @property
    def main_format(self) -> str:
        """The format of most products, or of most operations where there are no products; "" for none."""
        counts = self.by_format()
        products = {name: by_class.get(OpClass.MUL.value, 0) for name, by_class in counts.items()}
        if not any(products.values()):
            products = {name: sum(by_class.values()) for name, by_class in counts.items()}
        return max(products, key=products.__getitem__, default="")


class Arithmetic(StrEnum):
    """How a layer combines one input with one weight and accumulates the result."""

    MAC = "mac"
    """multiply, add: the ordinary convolution"""
    ADDER = "adder"
    """subtract, absolute value, add: -Σ|x - w| (AdderNet)"""
    XNOR = "xnor"
    """exclusive nor of signs, popcount (XNOR-Net)"""
    SHIFT = "shift"
    """shift by a power-of-two weight, add (DeepShift)"""
    TERNARY = "ternary"
    """add, subtract or leave out, by a weight of 1, -1 or 0 (BitNet b1.58)"""
    SHIFTADD = "shiftadd"
    """look up sums of inputs by binary matrices, shift, add (ShiftAddLLM)"""
    LMUL = "lmul"
    """add the bits of two floats in place of their product, add (L-Mul)"""
    LUT = "lut"
    """look up sums of inputs by the bits of weights, add (T-MAC)"""


def arithmetic_named(name: Arithmetic | str) -> Arithmetic:
    """The arithmetic of that name. Raises ArgumentError, which offers the nearest names, for an unknown
    one.
    """
    if name not in list(Arithmetic):
        raise unknown_name("arithmetic", str(name), Arithmetic)
    return Arithmetic(name)
