"""Arithmetics of layers, one in each file. Counting and costing use nothing of an arithmetic but its file's
`DEFINITION`.

A new arithmetic needs a member of `addercost.arithmetic.Arithmetic` and a file of that name here.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from addercost.arithmetic import Arithmetic, OpCounts
from addercost.counts.arithmetics.definition import ArithmeticDefinition, Recipe
from addercost.counts.work import Sites
from addercost.errors import ArgumentError

ARITHMETIC_TAG = "arithmetic:"
"""The beginning of a tag that names the arithmetic in which a layer is counted, whatever its operator."""

DEFINITIONS: Mapping[Arithmetic, ArithmeticDefinition] = {
    arithmetic: import_module(f"{__name__}.{arithmetic.value}").DEFINITION for arithmetic in Arithmetic
}


WITH_LAYERS = tuple(arithmetic for arithmetic, made in DEFINITIONS.items() if made.convolution)
"""Arithmetics in which networks can be built, trained and timed. The others are only counted and costed."""


def layered(arithmetic: Arithmetic) -> Arithmetic:
    """The same arithmetic. Raises ArgumentError if addercost has no layer that computes in it."""
    if arithmetic not in WITH_LAYERS:
        raise ArgumentError(
            f"{arithmetic} is counted and costed, and has no convolutions here that run",
            f"take one of {', '.join(WITH_LAYERS)}, or count with --as {arithmetic}",
        )
    return arithmetic


def site_counts(sites: Sites) -> OpCounts:
    """The operations that the papers' tables count for these sites."""
    return DEFINITIONS[sites.arithmetic].per_site(sites)


def exact_counts(sites: Sites) -> OpCounts:
    """All operations, bias included. The first term of each sum takes no addition."""
    return DEFINITIONS[sites.arithmetic].exact(sites)


def recipes(arithmetic: Arithmetic, number_format: str) -> tuple[Recipe, ...]:
    """Every known way to execute a site. Of several that are equally fast, the first is taken."""
    return DEFINITIONS[arithmetic].recipes(number_format)
