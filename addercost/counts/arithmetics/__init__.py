"""Arithmetics of layers, one a file: each file's `DEFINITION` is all that counts and costs know of it.

A new one is a member of `addercost.arithmetic.Arithmetic` and a file here of that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from addercost.arithmetic import Arithmetic, OpCounts
from addercost.counts.arithmetics.definition import ArithmeticDefinition, Recipe
from addercost.counts.work import Sites
from addercost.errors import ArgumentError

ARITHMETIC_TAG = "arithmetic:"
"""Start of the tag that says in which arithmetic a layer is counted, whatever its operator."""

DEFINITIONS: Mapping[Arithmetic, ArithmeticDefinition] = {
    arithmetic: import_module(f"{__name__}.{arithmetic.value}").DEFINITION for arithmetic in Arithmetic
}


WITH_LAYERS = tuple(arithmetic for arithmetic, made in DEFINITIONS.items() if made.convolution)
"""Those that networks can be built of, trained and timed in. The others are counted and costed alone."""


def layered(arithmetic: Arithmetic) -> Arithmetic:
    """The arithmetic itself. Raises ArgumentError where no layer of ours computes in it."""
    if arithmetic not in WITH_LAYERS:
        raise ArgumentError(
            f"{arithmetic} is counted and costed, and has no convolutions here that run",
            f"take one of {', '.join(WITH_LAYERS)}, or count with --as {arithmetic}",
        )
    return arithmetic


def site_counts(sites: Sites) -> OpCounts:
    """The operations that the papers' tables count at sites."""
    return DEFINITIONS[sites.arithmetic].per_site(sites)


def exact_counts(sites: Sites) -> OpCounts:
    """All operations, bias included. Where sums are added up, the first term of each takes no addition."""
    return DEFINITIONS[sites.arithmetic].exact(sites)


def recipes(arithmetic: Arithmetic, number_format: str) -> tuple[Recipe, ...]:
    """Every known way to execute a site. At equal speed the first is taken."""
    return DEFINITIONS[arithmetic].recipes(number_format)
