"""What one operator call has to compute, before a counting convention is applied."""

from __future__ import annotations

from dataclasses import dataclass, field

from addercost.arithmetic import Arithmetic, OpCounts


@dataclass(frozen=True, slots=True)
class Sites:
    """The part of an operator that an arithmetic replaces: pairs of an input and a weight, and the sums of
    their terms.

    count: pairs. A padded tap is one too, because hardware computes it and an adder layer needs it. outputs:
    sums of at least one term; the first term of each sum takes no addition.
    biased: outputs to which a bias is added.
    inputs: elements of the input that the arithmetic itself prepares (signs, rounding, tables); 0 where that
    is done already.
    weighted: one side is a parameter, so the call is a layer and not a product of two activations. negated:
    an adder layer negates its sum, so its first term takes an operation too.
    scaled: a binary layer multiplies each output by a factor.
    """

    count: int
    outputs: int
    biased: int = 0
    inputs: int = 0
    number_format: str = "fp32"
    accumulator_format: str = "fp32"
    arithmetic: Arithmetic = Arithmetic.MAC
    weighted: bool = False
    negated: bool = True
    scaled: bool = True


@dataclass(frozen=True, slots=True)
class OperatorWork:
    """What a counting rule finds in one call: `sites`, and in `other` every operation that belongs to no
    site.

    `OperatorWork()` means that the call computes nothing. A rule returns None where the work is unknown.
    """

    sites: tuple[Sites, ...] = ()
    other: OpCounts = field(default_factory=OpCounts)

    @property
    def mac_sites(self) -> int:
        """The number of pairs over all sites, whatever their arithmetic."""
        return sum([site.count for site in self.sites])


NO_WORK = OperatorWork()


def accumulator_of(number_format: str) -> str:
    """The format in which products are summed: int32 for narrow integers, fp32 for eight-bit and four-bit
    floating point, otherwise the format itself."""
    if number_format.startswith(("float8", "float4")):
        return "fp32"
    return "int32" if number_format in ("int4", "int8", "uint8", "int16", "uint16") else number_format
