"""Numbers that are lower or upper bounds, and ratios of them."""

from __future__ import annotations


class AtLeast(float):
    """A lower bound. Tables print it with ≥; files hold the plain number."""


class AtMost(float):
    """An upper bound. Tables print it with ≤; files hold the plain number."""


def bound_sign(value: float) -> str:
    """`≥ ` or `≤ ` for a bound, "" for a plain number."""
    return "≥ " if isinstance(value, AtLeast) else "≤ " if isinstance(value, AtMost) else ""


def bound_words(value: float) -> str:
    """`at least ` or `at most ` for a bound, "" for a plain number."""
    return "at least " if isinstance(value, AtLeast) else "at most " if isinstance(value, AtMost) else ""


def bounded(value: float, complete: bool) -> float:
    """The value itself where `complete`, else the value as a lower bound."""
    return value if complete else AtLeast(value)


def exact_ratio(one: float, other: float) -> float | None:
    """`one / other`; None where either is a bound, since the ratio of two lower bounds is no bound."""
    if isinstance(one, AtLeast | AtMost) or isinstance(other, AtLeast | AtMost) or not other:
        return None
    return one / other
