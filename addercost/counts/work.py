"""What one operator call has to do, before any counting convention is applied to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from addercost.arithmetic import Arithmetic, OpCounts
from addercost.trace.record import OpCall


@dataclass(frozen=True, slots=True)
class Sites:
    """Input-weight pairings and the sums they go into: the part of an operator that an arithmetic replaces.

    count: pairings. A padded tap is one too: hardware computes it, and an adder layer needs it.
    outputs: sums with at least one pairing; each takes its first term without an addition.
    biased: outputs to which a bias is added.
    inputs: elements of the input, which a binary layer turns into signs.
    weighted: one side is a parameter, so this is a layer and not a product of two activations.
    negated: an adder layer's sum is negated, so its first term saves no addition.
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
class Work:
    """`sites` plus every other operation. `Work()` is work known to be nothing, which is not unknown work."""

    sites: tuple[Sites, ...] = ()
    other: OpCounts = field(default_factory=OpCounts)

    @property
    def mac_sites(self) -> int:
        return sum(site.count for site in self.sites)


ARITHMETIC_TAG = "arithmetic:"
"""Start of the tag that says in which arithmetic a layer is counted, whatever its operator."""

Rule = Callable[[OpCall], Work]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers a counting rule for operators, named without their overload. A second rule is an error."""

    def register(function: Rule) -> Rule:
        for name in names:
            if name in RULES:
                raise ValueError(f"{name} has a rule already: {RULES[name].__module__}")
            RULES[name] = function
        return function

    return register


def accumulator_of(number_format: str) -> str:
    """Narrow integers are summed in 32 bits, eight-bit floating point in fp32, the rest in its own format."""
    if number_format.startswith(("float8", "float4")):
        return "fp32"
    return "int32" if number_format in ("int4", "int8", "uint8", "int16", "uint16") else number_format
