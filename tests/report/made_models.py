"""Profiles and reports of made-up models, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import pytest

from addercost.analysis.subjects import Wanted, subject_from_profiles
from addercost.arithmetic import Arithmetic, OpCounts
from addercost.cost.models import PAPER_MODEL
from addercost.counts.conventions import convention_named
from addercost.counts.model import LayerCounts, ModelCounts
from addercost.report.html import parts
from addercost.report.html.page import to_page
from addercost.results.profile import Profile
from addercost.results.report import Report, Subject
from addercost.trace.record import TensorSpec

CPUS = ("via-nano-2000", "intel-skylake-x")
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "a&b \"quoted\" 'single'",
    "модуль.层.🧨",
    "x" * 300,
    "back\\slash_$%#{}~^",
    "=1+1",
    "@SUM(1,1)",
    "]]><!--",
    "line\nbreak\x1b[31m",
    "__proto__",
    "{{ 7 * 7 }}",
)
"""Module names that a page, a figure, a workbook or a paper could trip over."""


def layer(path: str, n: int = 1000, arithmetic: Arithmetic = Arithmetic.MAC) -> LayerCounts:
    """A convolution of n sites, counted as the `macs` convention does."""
    counts = {
        Arithmetic.MAC: OpCounts.of(mul=n, add=n),
        Arithmetic.ADDER: OpCounts.of(add=2 * n),
        Arithmetic.XNOR: OpCounts.of("bit", xnor=n, popcount=n),
    }[arithmetic]
    return LayerCounts(
        path=path,
        type="Conv2d",
        op="convolution",
        ops={"convolution": 1},
        output_shape=(1, 8, 4, 4),
        parameters=10,
        counts=counts,
        mac_sites=n,
        arithmetic=arithmetic,
        bytes_read=400,
        bytes_written=100,
    )


def counts(
    paths: Sequence[str],
    n: int = 1000,
    arithmetic: Arithmetic | None = None,
    convention: str = "macs",
    model: str = "made-up",
) -> ModelCounts:
    return ModelCounts(
        model=model,
        convention=convention_named(convention),
        arithmetic=arithmetic,
        layers=tuple(layer(path, n + i, arithmetic or Arithmetic.MAC) for i, path in enumerate(paths)),
        parameters=10 * len(paths),
        inputs=(TensorSpec((1, 3, 8, 8), "float32", "input"),),
    )


def profile(paths: Sequence[str], n: int = 1000, arithmetic: Arithmetic | None = None) -> Profile:
    return Profile(counts(paths, n, arithmetic))


def subject(paths: Sequence[str], cpus: tuple[str, ...] = CPUS) -> Subject:
    """As multiply-add, adder and binary."""
    profiles = [profile(paths), profile(paths, 1000, Arithmetic.ADDER), profile(paths, 1000, Arithmetic.XNOR)]
    return subject_from_profiles("made-up", profiles, Wanted("macs", cpus=cpus, layers_by=PAPER_MODEL))


def report(paths: Sequence[str], cpus: tuple[str, ...] = CPUS) -> Report:
    return Report("made-up", (subject(paths, cpus),))


@contextmanager
def without_figures() -> Iterator[None]:
    """Pages are made without their figures, which take seconds to draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "page_figure", lambda *_, **__: parts.PageFigure("", "", "", ""))
        yield


@cache
def page(*paths: str) -> str:
    """The HTML page of such a report for one processor. Its figures take seconds, so tests share it."""
    return to_page(report(paths, CPUS[1:]))


def nested(layers: int) -> list[str]:
    """Paths of a model with ten blocks of stages: stage.block.conv."""
    return [f"stages.{i // 100}.{i // 10 % 10}.conv{i % 10}" for i in range(layers)]
