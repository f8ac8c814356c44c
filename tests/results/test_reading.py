"""Plain data into dataclasses: each fault is one line with document, path, value and expectation."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest

from addercost.errors import AddercostError, DataError
from addercost.reading import (
    Amount,
    AnyNumber,
    Count,
    Limits,
    NotNegative,
    Positive,
    Size,
    Text,
    Whole,
    expectation,
    fits,
    json_data,
    misfit,
    read_as,
    toml_data,
)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Part:
    width: Positive
    colour: Colour = Colour.RED


@dataclass(frozen=True, slots=True)
class Thing:
    name: str
    title: Text = "a title"
    count: Count = 0
    size: Size = 0
    whole: Whole = 1
    number: float = 0.0
    amount: Amount = 0
    share: NotNegative = 0.0
    flag: bool = False
    parts: tuple[Part, ...] = ()
    by_name: Mapping[str, Part] = field(default_factory=dict)
    curves: Mapping[str, tuple[AnyNumber, ...]] = field(default_factory=dict)
    main: Part | None = None
    kind: Literal["a", "b"] = "a"
    largest: Mapping[str, Count] = field(default_factory=dict)
    made: int = field(default=3, init=False)


def read(**fields: Any) -> Thing:
    return read_as(Thing, {"name": "x", **fields}, "t.json")


def test_what_fits_is_read() -> None:
    nan_free = read(
        title="y",
        count=10**30,
        number=-2,
        amount=10**30,
        parts=[{"width": 1}, {"width": 2.5, "colour": "blue"}],
        by_name={"k": {"width": 3}},
        curves={"c": [1, 2.5, float("inf")]},
        main={"width": 4},
        kind="b",
        largest={"z": 10**300},
    )
    assert nan_free == Thing(
        "x",
        "y",
        10**30,
        number=-2,
        amount=10**30,
        parts=(Part(1), Part(2.5, Colour.BLUE)),
        by_name={"k": Part(3)},
        curves={"c": (1, 2.5, float("inf"))},
        main=Part(4),
        kind="b",
        largest={"z": 10**300},
    )
    assert isinstance(nan_free.parts[1].colour, Colour)
    assert isinstance(nan_free.parts, tuple)


def test_a_whole_number_stays_one() -> None:
    """Sums of cycles are exact, and a document is written again as it was."""
    assert [type(read(number=value).number) for value in (2, 2.0)] == [int, float]


def test_what_is_left_out_has_its_default() -> None:
    assert read() == Thing("x")
    assert read(main=None).main is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"name": []}, "name = []: expected text", id="a-list-for-a-name"),
        pytest.param({"name": None}, "name = None: expected text", id="null-for-a-name"),
        pytest.param({"title": " "}, "title = ' ': expected text", id="blank"),
        pytest.param({"count": -1}, "count = -1: expected a whole number of at least 0", id="negative-count"),
        pytest.param({"count": 1.0}, "count = 1.0: expected a whole number of at least 0", id="float-count"),
        pytest.param({"count": True}, "count = True: expected a whole number of at least 0", id="true-count"),
        pytest.param({"count": "1"}, "count = '1': expected a whole number of at least 0", id="text-count"),
        pytest.param(
            {"size": 2**63}, f"size = {2**63}: expected a whole number of at most 64 bits", id="65-bits"
        ),
        pytest.param({"whole": 0}, "whole = 0: expected a whole number of at least 1", id="zero"),
        pytest.param({"number": float("nan")}, "number = nan: expected a finite number", id="nan"),
        pytest.param({"number": float("-inf")}, "number = -inf: expected a finite number", id="infinite"),
        pytest.param({"number": {}}, "number = {}: expected a number", id="object-for-a-number"),
        pytest.param(
            {"amount": -0.5}, "amount = -0.5: expected a number of at least 0", id="negative-amount"
        ),
        pytest.param({"share": -1}, "share = -1: expected a number of at least 0", id="negative-share"),
        pytest.param({"flag": 1}, "flag = 1: expected true or false", id="number-for-a-truth-value"),
        pytest.param({"parts": {}}, "parts = {}: expected a list", id="object-for-a-list"),
        pytest.param({"parts": [3]}, "parts[0] = 3: expected an object", id="number-for-an-object"),
        pytest.param(
            {"parts": [{"width": 1}, {"width": 0}]},
            "parts[1].width = 0: expected a number above 0",
            id="in-a-list",
        ),
        pytest.param({"parts": [{}]}, "parts[0].width is missing: expected a number above 0", id="missing"),
        pytest.param(
            {"parts": [{"width": 1, "colour": "green"}]},
            "parts[0].colour = 'green': expected one of red, blue",
            id="enum",
        ),
        pytest.param({"kind": "c"}, "kind = 'c': expected one of a, b", id="literal"),
        pytest.param({"by_name": []}, "by_name = []: expected an object", id="list-for-an-object"),
        pytest.param(
            {"by_name": {"good": {"width": 1}, "b.ad": {"width": None}}},
            "by_name.b.ad.width = None: expected a number above 0",
            id="in-a-mapping",
        ),
        pytest.param(
            {"by_name": {"two words": {"width": 1, "x": 2}}},
            "by_name['two words'].x = 2: no such field; known here: width, colour",
            id="unknown-in-a-mapping",
        ),
        pytest.param(
            {"curves": {"a": [1], "b": [1, None]}}, "curves.b[1] = None: expected a number", id="in-a-curve"
        ),
        pytest.param(
            {"main": {"width": -1}}, "main.width = -1: expected a number above 0", id="in-an-option"
        ),
        pytest.param({"main": 3}, "main = 3: expected an object", id="option-of-an-object"),
        pytest.param(
            {"largest": {"k": -1}}, "largest.k = -1: expected a whole number of at least 0", id="count"
        ),
    ],
)
def test_each_fault_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(**fields)
    assert str(caught.value) == f"t.json: {message}"
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("fields", [{"amount": 10**400}, {"largest": {"k": 10**400}}, {"count": -(10**400)}])
def test_a_number_of_400_digits(fields: dict[str, Any]) -> None:
    """10³⁰⁸ is the largest power of ten that a floating-point number reaches."""
    with pytest.raises(DataError) as caught:
        read(**fields)
    message = str(caught.value)
    assert next(iter(fields)) in message and len(message) < 160
    assert read(count=10**308 - 1).count == 10**308 - 1
    with pytest.raises(DataError, match=r"count = 1000.*: expected a number of at most 308 digits"):
        read(count=10**308)


@pytest.mark.parametrize("name", ["colour", "x - at `$.parts`", "y - at `$.parts[9]", "\x1b[31m", "a" * 200])
def test_an_unknown_field_is_named_in_one_line(name: str) -> None:
    with pytest.raises(DataError) as caught:
        read(**{name: 1})
    message = str(caught.value)
    assert message.startswith("t.json: ") and "\n" not in message and "\x1b" not in message
    assert name[:8].strip("\x1b") in message


@pytest.mark.parametrize("data", [None, [], 3, "x"])
def test_a_document_that_is_no_object(data: Any) -> None:
    with pytest.raises(DataError) as caught:
        read_as(Thing, data, "t.json")
    assert str(caught.value) == f"t.json: the document = {data!r}: expected an object"


def test_the_path_of_a_part() -> None:
    with pytest.raises(DataError) as caught:
        read_as(Part, {"width": 0}, "t.json", "rows[3]")
    assert str(caught.value) == "t.json: rows[3].width = 0: expected a number above 0"
    with pytest.raises(DataError, match=r"t.json: rows\[3\].width is missing"):
        read_as(Part, {}, "t.json", "rows[3]")
    with pytest.raises(DataError, match=r"t.json: rows\[3\] = 7: expected an object"):
        read_as(Part, 7, "t.json", "rows[3]")


def test_a_long_value_is_cut() -> None:
    assert str(misfit("f", "p", "x" * 58, "y")) == f"f: p = '{'x' * 58}': expected y"
    assert str(misfit("f", "p", "x" * 59, "y")) == f"f: p = '{'x' * 56}...: expected y"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        pytest.param(Limits(), "a number", id="none"),
        pytest.param(Limits(least=1), "a number of at least 1", id="least"),
        pytest.param(Limits(above=0, below=1e6), "a number above 0 and below 1,000,000", id="between"),
    ],
)
def test_limits_in_words(limits: Limits, words: str) -> None:
    assert expectation(Annotated[float, limits]) == words


@pytest.mark.parametrize(
    ("value", "fitting"),
    [
        (0, False),
        (1, True),
        (999_999, True),
        (1_000_000, False),
        (0.0, False),
        (0.5, True),
        (999_999.5, True),
        (1e6, False),
    ],
)
def test_limits_at_their_ends(value: float, fitting: bool) -> None:
    assert fits(Annotated[float, Limits(above=0, below=1e6)], value) is fitting


@pytest.mark.parametrize(
    ("kind", "least", "largest"),
    [
        pytest.param(int, -(2**63), 2**63 - 1, id="64-bits"),
        pytest.param(Annotated[int, Limits(least=0.5, below=4.5)], 1, 4, id="least-and-below-a-half"),
        pytest.param(Annotated[int, Limits(least=2, below=4)], 2, 3, id="least-and-below"),
        pytest.param(Annotated[int, Limits(above=0.5)], 1, 2**63 - 1, id="above-a-half"),
        pytest.param(Annotated[int, Limits(above=1, below=9)], 2, 8, id="above-and-below"),
    ],
)
def test_the_whole_numbers_at_the_ends(kind: Any, least: int, largest: int) -> None:
    """64 bits hold -2⁶³ to 2⁶³ - 1. "Above" and "below" leave out the number that they name."""
    assert fits(kind, least) and fits(kind, largest)
    assert not fits(kind, least - 1) and not fits(kind, largest + 1)


def test_a_large_whole_number_has_no_other_limit() -> None:
    kind = Annotated[int, Limits(large=True)]
    assert fits(kind, 10**300) and fits(kind, -(10**300)) and not fits(kind, "1")


def test_the_finite_numbers_at_the_ends() -> None:
    largest = sys.float_info.max
    assert fits(float, largest) and fits(float, -largest)
    assert not fits(float, float("inf")) and not fits(float, float("-inf"))


def test_at_least_is_for_floating_point_numbers_too() -> None:
    kind = Annotated[float, Limits(least=1)]
    assert fits(kind, 1.0) and not fits(kind, 0.999) and not fits(kind, float("inf"))


def test_fields_after_a_computed_one_are_read() -> None:
    @dataclass(frozen=True)
    class Area:
        computed: int = field(init=False, default=0)
        width: Positive = 1.0

    assert read_as(Area, {"width": 2.0}, "a.json") == Area(2.0)
    with pytest.raises(DataError, match=r"a.json: computed = 1: no such field; known here: width"):
        read_as(Area, {"computed": 1}, "a.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[" * 100_000, "t.json is not JSON: nested too deeply", id="nested"),
        pytest.param("", "t.json is not JSON: Expecting value: line 1 column 1", id="empty"),
        pytest.param("9" * 5000, "t.json is not JSON: Exceeds the limit", id="5000-digits"),
    ],
)
def test_a_text_that_is_no_json(text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        json_data(text, "t.json")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a = " + "[" * 5_000, "t.toml: nested too deeply", id="nested"),
        pytest.param(
            "a = " + "[" * 100_000,
            "t.toml: nested too deeply",
            id="nested-100000",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param("a", "t.toml: not TOML", id="no-value"),
        pytest.param("a = " + "9" * 5000, "t.toml: not TOML: Exceeds the limit", id="5000-digits"),
    ],
)
def test_a_text_that_is_no_toml(text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        toml_data(text, "t.toml")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_json_and_toml_are_read() -> None:
    assert json_data('{"a": [1, NaN]}', "t")["a"][0] == 1
    assert toml_data("a = [1, 2.5]", "t") == {"a": [1, 2.5]}


def test_without_msgspec_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    with pytest.raises(AddercostError, match="needs the package msgspec; install it: pip install msgspec"):
        read()


@dataclass(frozen=True)
class Summed:
    parts: tuple[float, ...]

    def __post_init__(self) -> None:
        math.fsum(self.parts)


def test_a_sum_beyond_all_numbers_is_refused() -> None:
    assert read_as(Summed, {"parts": [1e308]}, "d.json") == Summed((1e308,))
    with pytest.raises(DataError, match=r"d\.json: the sum of its numbers is too large for a number"):
        read_as(Summed, {"parts": [1e308, 1e308]}, "d.json")
