"""What an arithmetic is: its operations at a site, the instructions that compute them, and how weights are
stored.

A site is one pair of an input and a weight.
"""

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
    """The formats in which the additions of an accumulation may be counted: that of the operands, or a wider
    one.
    """
    return _SUMS.get(number_format, (number_format,))


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to compute sites with instructions of one form and width.

    name: unique among the recipes of an arithmetic and a format. It must not change, because measurements are
    stored by it. ops: (instruction, how often a step executes it). counted: how many sites a step has. `OP`
    means as many as one instruction OP computes, `2 x OP` twice as many, `bits of OP` one for each bit of its
    register, and `one of OP` a single one. vectors_only: the recipe does not work with scalar registers.
    """

    name: str
    ops: tuple[tuple[str, int], ...]
    counted: str
    assumption: str = ""
    vectors_only: bool = False


class Steps(StrEnum):
    """How the number of steps of an inner loop follows from the operations of a layer."""

    OPERATIONS = "one for each operation of the loop's class"
    PAIRS = "one for each operation of the loop's class that has another one for its step"
    EITHER = "as many as operations of the loop's class or as others, whichever are more"
    SITES = "one for each site of the layer"


@dataclass(frozen=True, slots=True)
class InnerLoop:
    """Which operations of a layer belong to its inner loop, so that they are charged together.

    counted_by: the class of operations by which a loop is found, once for each number format. others: (class,
    times, formats) of the further operations of a step; formats maps the loop's format to those in which they
    may be counted. own_layers: the operations form such a loop only in layers of this arithmetic. order: the
    sort key by which formats are searched for a loop. operands: the format of the loop's operands, from the
    format by which it is found.
    """

    counted_by: OpClass
    steps: Steps
    others: tuple[tuple[OpClass, int, Callable[[str], Sequence[str]]], ...]
    own_layers: bool = True
    order: Callable[[str], int] = lambda number_format: 0
    operands: Callable[[str], str] = lambda number_format: number_format


ElementPart = tuple[OpClass, str, float]
"""An operation of an accelerator's processing element: its class, its format, and how often it runs for a
site.
"""


@dataclass(frozen=True, slots=True)
class ArithmeticDefinition:
    """Everything that counting and costing need to know about an arithmetic.

    summary: one line, with the source. per_site: the operations that the papers count for sites. exact: all
    operations, bias included. loop: the inner loop of a layer. recipes: by number format; of several that are
    equally fast, the first is taken. runs_as: another arithmetic whose measured loops compute this one as
    well. element: the operations of an accelerator's processing element, by the formats of operands and sums;
    empty if there is no such element. weight_bits: bits of a stored weight, including its share of scales;
    None means those of the number format. convolution, linear: addercost's operators that compute such a
    layer; "" if there are none. of_activations: products of two activations, as in attention, use this
    arithmetic too.
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
    """One operation `combine` at every site, in the operands' format, and `accumulations` additions in the
    format of the sums.
    """
    return OpCounts.of(sites.number_format, **{combine: sites.count}) + OpCounts.of(
        sites.accumulator_format, add=accumulations
    )


def first_terms(sites: Sites) -> int:
    """The number of terms that take no addition because they are the first of their sums."""
    return min(sites.outputs, sites.count)


def later_terms(sites: Sites) -> int:
    """The number of additions in the sums: K-1 for an output of K terms, and one more for a bias."""
    return sites.count - first_terms(sites) + sites.biased


def groups(sites: Sites, size: int) -> int:
    """The number of groups of up to `size` terms, over all sums."""
    if sites.outputs and sites.count % sites.outputs == 0:
        return sites.outputs * -(-(sites.count // sites.outputs) // size)
    return -(-sites.count // size)


def input_groups(sites: Sites, size: int) -> tuple[int, int]:
    """(groups of up to `size` inputs, rows of inputs that a sum is made from).

    The windows of a convolution share their inputs. There a row is as many inputs as a sum has terms.
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
