"""Types of options: finite numbers, and sizes in bytes."""

from __future__ import annotations

import math
from typing import Any

import click

from addercost.errors import ArgumentError
from addercost.units import parse_quantity

_LARGEST_BYTES = 2**60
_LONGEST_S = 1e9


class FiniteRange(click.FloatRange):
    """A finite number in a range. Without this class NaN would pass every limit, since it is neither below
    nor above any number.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number

    def _describe_range(self) -> str:
        """The range in the help; "" where click would write `x<=None`."""
        return "" if self.min is None and self.max is None else super()._describe_range()


class SecondsRange(FiniteRange):
    """A time in seconds, at most 30 years, since the system's clocks take no longer ones."""

    def __init__(self, min: float, min_open: bool = False) -> None:
        super().__init__(min, _LONGEST_S, min_open=min_open)

    def _describe_range(self) -> str:
        return ""


def parsed_bytes(text: str | None, option: str) -> int:
    """The bytes of a text such as `2G`; 0 where no size was given. Raises ArgumentError for any other
    text.
    """
    if not text:
        return 0
    try:
        size = parse_quantity(text.removesuffix("iB").removesuffix("B"))
    except ValueError:
        raise ArgumentError(f"{option} {text!r} is not a size", "write it as 2G") from None
    if not 1 <= size <= _LARGEST_BYTES:
        raise ArgumentError(f"{option} {text!r} is no size that memory has", "write it as 2G")
    return int(size)
