"""The shapes at which kernels go wrong: (N, C, H, W), (K, R, S), geometry."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest

from addercost.kernels.problem import Geometry

GEOMETRIES: list[Any] = [
    pytest.param((1, 3, 1, 1), (1, 1, 1), Geometry(), id="one-pixel"),
    pytest.param((1, 1, 5, 4), (3, 3, 3), Geometry(padding=(1, 1)), id="one-channel"),
    pytest.param((2, 1, 12, 12), (6, 5, 5), Geometry(), id="lenet-first"),
    pytest.param((3, 5, 6, 7), (4, 3, 3), Geometry(padding=(1, 1)), id="odd-batch-crs-45"),
    pytest.param((2, 3, 9, 8), (5, 3, 3), Geometry((2, 2), (1, 1)), id="stride-2"),
    pytest.param((1, 2, 10, 8), (3, 2, 2), Geometry((3, 3)), id="stride-3"),
    pytest.param((2, 2, 11, 13), (5, 4, 3), Geometry((3, 2), (2, 1), (2, 2)), id="stride-and-dilation"),
    pytest.param((1, 4, 12, 19), (6, 7, 7), Geometry((4, 2), (3, 3), (2, 3)), id="stride-4-dilation-2"),
    pytest.param((2, 7, 9, 9), (20, 1, 1), Geometry((2, 2)), id="1x1-stride-2"),
    pytest.param((2, 2, 8, 8), (3, 3, 1), Geometry((1, 2), (2, 0)), id="unequal-pairs"),
    pytest.param((1, 2, 8, 9), (3, 3, 3), Geometry(padding=(2, 2), dilation=(2, 2)), id="dilation"),
    pytest.param((2, 4, 5, 5), (6, 3, 3), Geometry(padding=(1, 1), groups=2), id="groups"),
    pytest.param((1, 4, 5, 5), (4, 3, 3), Geometry((2, 2), groups=4), id="depthwise"),
    pytest.param((2, 64, 5, 4), (32, 1, 1), Geometry((2, 1)), id="1x1-64-channels-32-filters"),
    pytest.param((1, 18, 7, 9), (18, 3, 2), Geometry((2, 1), (1, 1), (1, 2), 18), id="depthwise-18"),
    pytest.param((2, 3, 6, 37), (3, 3, 3), Geometry(padding=(1, 1), groups=3), id="depthwise-long-rows"),
    pytest.param((1, 2, 7, 40), (7, 3, 5), Geometry((2, 1), (1, 2), (1, 2)), id="few-filters-long-rows"),
    pytest.param((2, 16, 4, 4), (17, 1, 1), Geometry(), id="17-filters"),
    pytest.param((1, 8, 14, 14), (33, 3, 3), Geometry(padding=(1, 1)), id="33-filters"),
    pytest.param((1, 16, 6, 9), (70, 3, 3), Geometry((1, 2), (1, 1)), id="70-filters-crs-144"),
    pytest.param((2, 7, 5, 8), (64, 3, 3), Geometry(padding=(1, 1)), id="64-filters-8-columns"),
    pytest.param((1, 9, 5, 10), (65, 1, 1), Geometry((2, 1)), id="65-filters-10-columns"),
    pytest.param((1, 5, 6, 19), (120, 3, 3), Geometry((1, 1), (2, 0)), id="120-filters-17-columns"),
    pytest.param((2, 5, 9, 1), (33, 1, 1), Geometry(), id="one-column-1x1"),
    pytest.param((1, 70, 5, 9), (20, 3, 2), Geometry((2, 3), (1, 1), (1, 2), 2), id="groups-of-35-channels"),
    pytest.param((1, 4, 7, 1), (40, 3, 1), Geometry(padding=(1, 0)), id="one-column"),
    pytest.param((2, 4, 1, 9), (5, 1, 3), Geometry(), id="one-row"),
    pytest.param((2, 9, 4, 16), (21, 1, 1), Geometry(), id="planes-of-whole-vectors"),
    pytest.param((2, 6, 8, 4), (33, 3, 3), Geometry(padding=(1, 1)), id="joined-rows-of-4"),
    pytest.param((1, 7, 6, 25), (40, 3, 2), Geometry((2, 2), (1, 1), groups=1), id="joined-rows-stride-2"),
    pytest.param((1, 3, 4, 4), (2, 1, 1), Geometry(padding=(2, 1)), id="1x1-padded"),
    pytest.param((1, 2, 9, 2), (64, 2, 4), Geometry((2, 2), (0, 3), (1, 2)), id="one-column-out-of-two"),
    pytest.param((1, 5, 4, 33), (16, 1, 1), Geometry((1, 3), (0, 3)), id="1x1-padded-stride-3"),
    pytest.param((2, 3, 5, 33), (20, 1, 3), Geometry(padding=(0, 1)), id="1x3-long-rows"),
    pytest.param((1, 3, 33, 2), (20, 3, 1), Geometry(padding=(1, 0)), id="3x1-long-columns"),
]

FAST = (
    "stride-and-dilation",
    "groups",
    "1x1-stride-2",
    "33-filters",
    "few-filters-long-rows",
    "one-column",
    "planes-of-whole-vectors",
    "joined-rows-of-4",
)
"""One of each kind: strides with dilation, groups, pixels between the strides, filters that fill no vector,
vectors along a row, a column taken as a row, planes read in place, and rows joined to one."""


def all_but(fast: Iterable[str], cases: Iterable[Any] = GEOMETRIES) -> list[Any]:
    """These cases, with all but those of the ids in `fast` marked as exhaustive."""
    return [
        case
        if case.id in fast
        else pytest.param(*case.values, id=case.id, marks=(*case.marks, pytest.mark.exhaustive))
        for case in cases
    ]


def exhaustive(*values: Any) -> list[Any]:
    """Parameters of which the fast tests need none."""
    return [pytest.param(value, marks=pytest.mark.exhaustive) for value in values]


def cases(**values: Any) -> list[Any]:
    """Parameters with names."""
    return [pytest.param(value, id=name.replace("_", "-")) for name, value in values.items()]


def numbers(*values: int) -> list[Any]:
    return [pytest.param(value, id=str(value)) for value in values]


def all_crossed(*lists: list[Any]) -> list[Any]:
    """Every case of one list with all of the others. Half of them are exhaustive: those whose places in their
    lists have an odd sum. Of three lists or more, each two cases of two lists are together in the other half.
    """
    return [
        pytest.param(
            *(value for case in row for value in case.values),
            id="-".join(case.id for case in row),
            marks=(
                *(mark for case in row for mark in case.marks),
                *([pytest.mark.exhaustive] if sum(places) % 2 else []),
            ),
        )
        for places, row in (
            zip(*numbered, strict=True) for numbered in itertools.product(*map(enumerate, lists))
        )
    ]


def in_turns(cases: list[Any], **choices: Any) -> list[Any]:
    """Each case with the next one of `choices`, whose name its id ends with."""
    names = [list(choices)[index % len(choices)] for index in range(len(cases))]
    return [
        pytest.param(*case.values, choices[name], id=f"{case.id}-{name}", marks=case.marks)
        for case, name in zip(cases, names, strict=True)
    ]
