"""Counts of operations."""

import pytest

from addercost.arithmetic import OpCounts


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param((OpCounts.of("int8", mul=9), OpCounts.of("int32", add=30)), "int8", id="its products'"),
        pytest.param((OpCounts.of("fp32", mul=5, add=9), OpCounts.of("bf16", mul=6)), "bf16", id="most"),
        pytest.param((OpCounts.of("fp32", add=7), OpCounts.of("int8", add=9)), "int8", id="no products"),
        pytest.param((), "", id="nothing"),
    ],
)
def test_the_main_format_is_that_of_most_products(parts: tuple[OpCounts, ...], expected: str) -> None:
    assert OpCounts.sum(parts).main_format == expected
