"""Prints and reads numbers with SI prefixes. Everywhere else numbers are in plain SI units."""

from __future__ import annotations

import math
import re

_PREFIXES = (
    (1e15, "P"),
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
    (1e-15, "f"),
)
_FACTORS = {prefix: factor for factor, prefix in _PREFIXES} | {"K": 1e3, "u": 1e-6}
_QUANTITY = re.compile(r"\s*([-+]?[0-9][0-9_]*\.?[0-9]*(?:[eE][-+]?[0-9]+)?)\s*([PTGMKkmµunpf]?)\s*(.*?)\s*")


def si(value: float, unit: str = "", digits: int = 3) -> str:
    """`si(1_736_640)` is "1.74M"; `si(2.5e-6, "s")` is "2.5 µs". At most `digits` significant digits.

    Numbers for which there is no prefix (0, below a femto, infinite, NaN) are printed without one.
    """
    space = " " if unit else ""
    if math.isinf(value):
        return f"{value}{space}{unit}"
    for factor, prefix in _PREFIXES:
        # From 0.9995 on a value would be printed as 1000 of the prefix below.
        if abs(value) >= factor * (1 - 0.5 * 10.0**-digits):
            return f"{value / factor:.{digits}g}{space}{prefix}{unit}".replace("e+03", "000")
    return f"{value:.{digits}g}{space}{unit}"


def prefixed_unit(value: float, unit: str) -> tuple[float, str]:
    """`prefixed_unit(2.5e-6, "s")` is (1e-6, "µs"): the unit in which the value is between 1 and 1000."""
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor:
            return factor, f"{prefix}{unit}"
    return 1.0, unit


def thousands(value: float) -> str:
    """`thousands(2612592)` is "2,612,592". A number that is not whole has four significant digits below 1,000
    and no fraction above: `thousands(65577943.2)` is "65,577,943", `thousands(216.04)` is "216".
    """
    if not math.isfinite(value):
        return f"{value}"
    if abs(value) < 1000:
        value = float(f"{value:.4g}")
        if not value.is_integer():
            return f"{value:g}"
    return f"{round(value):,}"


def parse_quantity(text: str, unit: str = "") -> float:
    """`parse_quantity("1.5G")` is 1.5e9; `parse_quantity("4 GHz", "Hz")` is 4e9.

    Raises ValueError for a text that is no number with an optional prefix and `unit`.
    """
    match = _QUANTITY.fullmatch(text)
    if not match or match[3] not in ("", unit):
        raise ValueError(f"not a quantity{f' in {unit}' if unit else ''}: {text!r}")
    return float(match[1].replace("_", "")) * _FACTORS[match[2]]
