"""What an arithmetic is: operations at a site, instructions that do them, and how weights are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.counts.work import Sites

_FP8 = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
_SUMS = {
    "int8": ("int8", "int32", "int16", "int64"),
    "uint8": ("uint8", "int32", "int16", "int64", "int8"),
    "int16": ("int16", "int32", "int64"),
    "int32": ("int32", "int64"),
    "fp16": ("fp16", "fp32"),
    "bf16": ("bf16", "fp32"),
    **dict.fromkeys(_FP8, ("fp32",)),
}


def same(number_format: str) -> tuple[str, ...]:
    return (number_format,)


def sums(number_format: str) -> tuple[str, ...]:
    """Where the additions of an accumulation may be counted: at the operands' format or a wider one."""
    return _SUMS.get(number_format, (number_format,))


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way of combining input-weight pairs by instructions of one form and width. ops: (op, times).

    name: unique among the recipes of an arithmetic and a format, and stable: measurements are kept by it.
    counted: the op whose sites a step has: `OP` as many as one instruction of it, `2 x OP` twice as many,
    `bits of OP` one for each bit of its register, `one of OP` a single one. vectors_only: not on scalar
    registers.
    """

    name: str
    ops: tuple[tuple[str, int], ...]
    counted: str
    assumption: str = ""
    vectors_only: bool = False


class Steps(StrEnum):
    """How many steps an inner loop has, by the operations of a layer."""

    OPERATIONS = "as many as operations of the loop's class"
    PAIRS = "as many of these as have the others beside them"
    EITHER = "as many of these, or of the others, whichever are more"
    SITES = "as many as the layer has sites"


@dataclass(frozen=True, slots=True)
class InnerLoop:
    """Which operations of a layer its inner loop does, so that they are charged together.

    counted_by: the class of operations that a loop is found by, once for each number format. others: (class,
    times, formats) of what a step does besides; formats gives those it may be counted in, from the loop's.
    own_layers: whether these operations are such a loop only in layers of the arithmetic. order: sorts the
    formats in which a loop is looked for. operands: the format of a loop's operands, from the one that it is
    found by.
    """

    counted_by: OpClass
    steps: Steps
    others: tuple[tuple[OpClass, int, Callable[[str], Sequence[str]]], ...]
    own_layers: bool = True
    order: Callable[[str], int] = lambda number_format: 0
    operands: Callable[[str], str] = lambda number_format: number_format


ElementPart = tuple[OpClass, str, float]
"""An operation of an accelerator's element: its class, its format, and how often it is done for a site."""


@dataclass(frozen=True, slots=True)
class ArithmeticDefinition:
    """Everything that counting and costing need to know of an arithmetic.

    summary: one line, with the source. per_site: the operations that the papers count at sites. exact: all
    operations, bias included. recipes: by number format; at equal speed the first is taken. runs_as: another
    arithmetic in whose measured loops it runs as well. element: of an accelerator, by the formats of operands
    and sums, empty where it has none. weight_bits: of a weight as its layer keeps it, with its share of
    scales; None where that is the format's. convolution, linear: operators of ours that compute a layer, ""
    where there is none. of_activations: whether products of two activations, as in attention, use it too.
    """

    arithmetic: Arithmetic
    summary: str
    per_site: Callable[[Sites], OpCounts]
    exact: Callable[[Sites], OpCounts]
    loop: InnerLoop
    recipes: Callable[[str], tuple[Recipe, ...]]
    element: Callable[[str, str], tuple[ElementPart, ...]]
    weight_bits: float | None = None
    convolution: str = ""
    linear: str = ""
    of_activations: bool = False
    runs_as: Arithmetic | None = None


def combined(sites: Sites, combine: OpClass, accumulations: int) -> OpCounts:
    """A combination at every site in the operands' format, and so many additions in that of the sums."""
    return OpCounts.of(sites.number_format, **{combine: sites.count}) + OpCounts.of(
        sites.accumulator_format, add=accumulations
    )


def first_terms(sites: Sites) -> int:
    """Terms that take no addition, since they are the first of their sums."""
    return min(sites.outputs, sites.count)


def later_terms(sites: Sites) -> int:
    """Additions of the sums: K-1 for an output of K terms, and one more for a bias."""
    return sites.count - first_terms(sites) + sites.biased


def groups(sites: Sites, size: int) -> int:
    """Into how many groups of up to `size` terms the sums are divided, of all sums together."""
    if sites.outputs and sites.count % sites.outputs == 0:
        return sites.outputs * -(-(sites.count // sites.outputs) // size)
    return -(-sites.count // size)


def input_groups(sites: Sites, size: int) -> tuple[int, int]:
    """(groups of up to `size` inputs, rows of inputs that a sum is made of). Windows of a convolution share
    their inputs, so there a row is as many inputs as a sum has terms.
    """
    terms = sites.count // sites.outputs if sites.outputs else 0
    if not terms or not sites.inputs:
        return 0, 0
    if sites.inputs % terms:
        return -(-sites.inputs // size), -(-sites.inputs // terms)
    rows = sites.inputs // terms
    return rows * -(-terms // size), rows


FLOATS = ("fp16", "fp32", "fp64")
BY_ONE = "the sum is a multiply-add by one, whose unit may be free where the adders are not"
MASK = "|.| costs a bit mask"
