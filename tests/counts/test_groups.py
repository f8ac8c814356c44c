"""Arithmetics with tables divide inputs and sums into groups; numbers are worked out by hand."""

from __future__ import annotations

import pytest

from addercost.arithmetic import Arithmetic
from addercost.counts.arithmetics import DEFINITIONS
from addercost.counts.arithmetics.definition import groups, input_groups
from addercost.counts.work import Sites


@pytest.mark.parametrize(
    ("count", "outputs", "size", "expected"),
    [
        pytest.param(12, 2, 4, 2 * 2, id="six-terms-in-groups-of-four"),
        pytest.param(8, 2, 4, 2, id="whole-groups"),
        pytest.param(10, 3, 4, 3, id="sums-of-unequal-length-one-after-the-other"),
        pytest.param(5, 0, 4, 2, id="no-sums"),
        pytest.param(0, 0, 4, 0, id="nothing"),
    ],
)
def test_sums_are_divided_into_groups(count: int, outputs: int, size: int, expected: int) -> None:
    assert groups(Sites(count, outputs), size) == expected


@pytest.mark.parametrize(
    ("count", "outputs", "inputs", "expected"),
    [
        # Three rows of six inputs: two groups of up to four each.
        pytest.param(3 * 5 * 6, 3 * 5, 3 * 6, (3 * 2, 3), id="a-linear-layer"),
        # Sums of nine terms over windows of 16 inputs: four groups, as many inputs as two rows.
        pytest.param(4 * 9, 4, 16, (4, 2), id="windows"),
        pytest.param(12, 2, 0, (0, 0), id="prepared-already"),
        pytest.param(0, 0, 5, (0, 0), id="no-sums"),
        pytest.param(0, 2, 5, (0, 0), id="sums-of-nothing"),
    ],
)
def test_inputs_are_divided_into_groups(
    count: int, outputs: int, inputs: int, expected: tuple[int, int]
) -> None:
    assert input_groups(Sites(count, outputs, inputs=inputs), 4) == expected


@pytest.mark.parametrize(
    ("number_format", "ways"), [("fp16", 2), ("fp32", 2), ("int8", 0), ("float8_e5m2", 0)]
)
def test_bits_are_added_in_the_formats_that_processors_add(number_format: str, ways: int) -> None:
    assert len(DEFINITIONS[Arithmetic.LMUL].recipes(number_format)) == ways
