"""Which tests run which lines, and how long each takes: one run of the tests under Python's tracer."""

from __future__ import annotations

import itertools
import math
import os
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

OWN = ("addercost", "tests", "tools")
IMPORT = ""
"""In place of a test's name: what runs while the tests are imported."""


@dataclass
class RecordedTests:
    """lines: by file, the tests that ran each line. seconds: of processor time, by test.
    failed: those that fail unmutated.
    modules: what the tests imported."""

    lines: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)

    def running(self, file: str, lines: tuple[int, int]) -> set[str]:
        """The tests that run one of the lines, from the first to the last."""
        by_line: Mapping[int, set[str]] = self.lines.get(file, {})
        first, last = lines
        return set().union(*(tests for line, tests in by_line.items() if first <= line <= last), set())

    def tests_for(self, file: str, lines: tuple[int, int], limit_s: float = math.inf) -> list[str]:
        """The tests that run one of the lines, until together they take `limit_s`. The quickest come first,
        and the cases of each test function share as much time as those of any other.

        (0, 0) are lines that run during an import, or whose results are kept: half of the time is for tests
        that run a function of the file, half for the others.
        """
        if lines[1]:
            return self._in_turn(self.running(file, lines) - {IMPORT}, limit_s)
        nearest = self.running(file, (0, sys.maxsize)) - {IMPORT}
        first = self._in_turn(nearest, limit_s / 2)
        return first + self._in_turn(set(self.seconds) - nearest, limit_s - self._sum(first))

    def _in_turn(self, names: set[str], limit_s: float) -> list[str]:
        spent: dict[str, float] = defaultdict(float)
        order = []
        for name in sorted(names, key=lambda name: (self.seconds.get(name, 0.0), name)):
            function = name.partition("[")[0]
            spent[function] += self.seconds.get(name, 0.0)
            order.append((spent[function], name))
        chosen = [name for _, name in sorted(order)]
        sums = itertools.accumulate(self.seconds.get(name, 0.0) for name in chosen)
        return [
            name
            for i, (name, sum_s) in enumerate(zip(chosen, sums, strict=True))
            if not i or sum_s <= limit_s
        ]

    def _sum(self, names: Sequence[str]) -> float:
        return sum(self.seconds.get(name, 0.0) for name in names)

    def cpu_s(self, names: Sequence[str]) -> float:
        """Processor time that a run of these tests may take: much more than it does, so that only one that
        does not end is ended."""
        return 10.0 + 3 * self._sum(names)


class Recorder:
    """A pytest plugin that notes, for the files asked for, which lines each test runs."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = {str(Path(file).resolve()): file for file in files}
        self.map = RecordedTests({file: defaultdict(set) for file in files})
        self.test = IMPORT

    def trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        file = self.files.get(frame.f_code.co_filename)
        if file is None:
            return None
        lines, test = self.map.lines[file], self.test

        def line(frame: FrameType, event: str, arg: Any) -> Any:
            lines[frame.f_lineno].add(test)
            return line

        return line

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.test = nodeid
        self.map.seconds[nodeid] = -_cpu_s()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.map.seconds[nodeid] += _cpu_s()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.map.failed.append(report.nodeid)

    def recorded(self) -> RecordedTests:
        self.map.lines = {file: dict(lines) for file, lines in self.map.lines.items()}
        self.map.modules = [name for name in sys.modules if name.partition(".")[0] not in OWN]
        return self.map


def _cpu_s() -> float:
    """Processor time of this process and its children so far."""
    return sum(os.times()[:4])
