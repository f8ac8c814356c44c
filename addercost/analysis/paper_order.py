"""Tests on our accuracies whether the methods are in the order of the paper's accuracies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from addercost.results.accuracies import Accuracies, Difference, paired

ORDER = (
    ("an adder network is as accurate as a CNN", "full-alr", "cnn", "cannot tell"),
    ("an adder network is as accurate as a CNN with its norms", "full-alr", "cnn-norms", "cannot tell"),
    ("ALR beats ILR, full gradients", "full-alr", "full-ilr", "above"),
    ("full gradients beat signs, ALR", "full-alr", "sign-alr", "above"),
    ("full gradients beat signs, ILR", "full-ilr", "sign-ilr", "above"),
    ("ALR beats ILR, signs", "sign-alr", "sign-ilr", "above"),
    ("full gradients with ILR beat signs with ALR", "full-ilr", "sign-alr", "above"),
    ("a BNN is below an adder network", "bnn", "full-alr", "below"),
)
"""The claim, the two methods, and how the accuracy of the first stands to that of the second in the paper."""


@dataclass(frozen=True, slots=True)
class CheckedClaim:
    """A claim with the difference of our accuracies. holds: words on whether they confirm it."""

    claim: str
    difference: Difference
    holds: str


def checked_claims(results: Accuracies) -> Iterator[CheckedClaim]:
    """Each claim for which both methods were trained."""
    for claim, first, second, expected in ORDER:
        a, b = results.of(first), results.of(second)
        if a is not None and b is not None:
            difference = paired(a, b)
            yield CheckedClaim(claim, difference, _holds(difference.verdict, expected))


def _holds(found: str, expected: str) -> str:
    if found == expected:
        return "no difference seen" if expected == "cannot tell" else "holds"
    if expected == "cannot tell":
        return f"does not hold, it is {found}"
    return "cannot tell" if found == "cannot tell" else "does not hold"
