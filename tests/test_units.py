"""SI prefixes in print and in arguments: every prefix, both sides of each boundary, signs and non-numbers."""

from __future__ import annotations

import math

import pytest

from addercost.units import parse_quantity, si, thousands

PREFIXES = {"P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "": 0, "m": -3, "µ": -6, "n": -9, "p": -12, "f": -15}
"""Exponent of ten by prefix: the International System of Units, 9th edition, table 7."""


@pytest.mark.parametrize(("prefix", "exponent"), PREFIXES.items(), ids=[p or "one" for p in PREFIXES])
def test_a_prefix_begins_at_its_power_of_ten(prefix: str, exponent: int) -> None:
    assert si(10.0**exponent, "s") == f"1 {prefix}s"
    assert si(2.5 * 10.0**exponent, "s") == f"2.5 {prefix}s"
    assert si(-2.5 * 10.0**exponent, "s") == f"-2.5 {prefix}s"
    assert si(999 * 10.0**exponent, "s") == f"999 {prefix}s"


BOUNDARIES = list(zip(list(PREFIXES)[1:], PREFIXES, strict=False))
"""Each prefix and the next larger one."""


@pytest.mark.parametrize(("lower", "upper"), BOUNDARIES, ids=[f"{a or 1}-{b or 1}" for a, b in BOUNDARIES])
def test_what_rounds_up_to_a_thousand_takes_the_next_prefix(lower: str, upper: str) -> None:
    """Three digits: 999.4 is 999, 999.6 is 1000, which is 1 of the next prefix."""
    step = 10.0 ** PREFIXES[lower]
    assert si(999.4 * step, "J") == f"999 {lower}J"
    assert si(999.6 * step, "J") == f"1 {upper}J"
    assert si(-999.6 * step, "J") == f"-1 {upper}J"


def test_a_half_rounds_up() -> None:
    assert si(999.5, "J") == "1 kJ"


@pytest.mark.parametrize(
    ("digits", "below", "above"),
    [(1, 0.94, 0.96), (2, 0.994, 0.996), (3, 0.9994, 0.9996), (4, 0.99994, 0.99996)],
)
def test_the_boundary_follows_the_digits(digits: int, below: float, above: float) -> None:
    """The half of the last digit that is printed decides: 0.9996 to three digits is 1.00, to four 0.9996."""
    assert si(below, "s", digits).endswith(" ms")
    assert si(above, "s", digits) == "1 s"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1_736_640, "1.74M"), (1_736_640.4, "1.74M"), (12_345, "12.3k"), (5, "5"), (0.25, "250m")],
)
def test_three_digits_without_a_unit_have_no_space(value: float, shown: str) -> None:
    assert si(value) == shown


def test_digits_can_be_chosen() -> None:
    assert si(1_736_640, digits=5) == "1.7366M"
    assert si(1_736_640, digits=2) == "1.7M"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(999e15, "999 PB", id="within the largest prefix"),
        pytest.param(1e18, "1000 PB", id="a thousand of the largest"),
        pytest.param(2.346e19, "2.35e+04 PB", id="beyond"),
        pytest.param(1e-18, "1e-18 B", id="below the smallest prefix"),
        pytest.param(0.0, "0 B", id="zero"),
        pytest.param(math.inf, "inf B", id="infinite"),
        pytest.param(-math.inf, "-inf B", id="minus infinite"),
        pytest.param(math.nan, "nan B", id="no number"),
    ],
)
def test_beyond_the_prefixes(value: float, shown: str) -> None:
    assert si(value, "B") == shown


def test_zero_without_a_unit() -> None:
    assert si(0) == "0"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1,000"),
        (2_612_592, "2,612,592"),
        (2_612_592.0, "2,612,592"),
        (-1234, "-1,234"),
        (1234.4, "1,234"),
        (65_577_943.2, "65,577,943"),
        (216.04, "216"),
        (94.871, "94.87"),
        (999.96, "1,000"),
        (-999.96, "-1,000"),
        (0.1264, "0.1264"),
        (math.inf, "inf"),
        (10**24, "1" + 8 * ",000"),
    ],
)
def test_thousands(value: float, shown: str) -> None:
    assert thousands(value) == shown


@pytest.mark.parametrize(("prefix", "exponent"), PREFIXES.items(), ids=[p or "one" for p in PREFIXES])
def test_what_is_printed_is_read_back(prefix: str, exponent: int) -> None:
    assert parse_quantity(f"1{prefix}") == float(f"1e{exponent}")
    assert parse_quantity(f"1.5{prefix}") == pytest.approx(1.5 * 10.0**exponent, rel=1e-15)
    assert parse_quantity(si(1.5 * 10.0**exponent, "Hz"), "Hz") == pytest.approx(
        1.5 * 10.0**exponent, rel=1e-15
    )


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1.5G", "", 1.5e9),
        ("4 GHz", "Hz", 4e9),
        ("4GHz", "Hz", 4e9),
        ("4 G", "Hz", 4e9),
        ("3_000_000", "", 3e6),
        ("1_000.5", "", 1000.5),
        ("2K", "", 2e3),
        ("2k", "", 2e3),
        ("5u", "", 5e-6),
        ("5 us", "s", 5e-6),
        ("5µs", "s", 5e-6),
        ("-2", "", -2.0),
        ("+2", "", 2.0),
        ("1e3", "", 1e3),
        ("1E-3", "", 1e-3),
        ("2.", "", 2.0),
        ("1e3k", "", 1e6),
        ("  7  ", "", 7.0),
        ("0", "", 0.0),
    ],
)
def test_quantities(text: str, unit: str, value: float) -> None:
    assert parse_quantity(text, unit) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("", ""),
        ("G", ""),
        ("1.5X", ""),
        ("1.5 GHz", ""),
        ("1.5 Hz", "s"),
        (".5", ""),
        ("_1", ""),
        ("1..5", ""),
        ("1 2", ""),
        ("--1", ""),
        ("nan", ""),
        ("inf", ""),
        ("1.5GG", ""),
    ],
)
def test_what_is_no_quantity(text: str, unit: str) -> None:
    words = f"not a quantity in {unit}" if unit else "not a quantity:"
    with pytest.raises(ValueError, match=words):
        parse_quantity(text, unit)
