"""Which tests run which functions, and how long each takes: one run of the tests under Python's tracer."""

from __future__ import annotations

import itertools
import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest


@dataclass
class RecordedTests:
    """lines: by file, the tests that ran each line. seconds: by test. failed: those that fail unmutated."""

    lines: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def tests_for(self, file: str, function: tuple[int, int], limit_s: float = math.inf) -> list[str]:
        """Tests that run a line of the function (outside functions: of the file), the quickest of each test
        function first and then the next of each, until together they take `limit_s`."""
        by_line: Mapping[int, set[str]] = self.lines.get(file, {})
        first, last = function
        names = set().union(
            *(tests for line, tests in by_line.items() if not last or first <= line <= last), set()
        )
        groups: dict[str, list[str]] = defaultdict(list)
        for name in sorted(names, key=lambda name: (self.seconds.get(name, 0.0), name)):
            groups[name.partition("[")[0]].append(name)
        chosen: list[str] = []
        spent = 0.0
        for name in itertools.chain.from_iterable(itertools.zip_longest(*groups.values())):
            if name is None:
                continue
            spent += self.seconds.get(name, 0.0)
            if chosen and spent > limit_s:
                break
            chosen.append(name)
        return chosen


class _Recorder:
    """A pytest plugin that notes, for the files asked for, which lines each test runs."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = {str(Path(file).resolve()): file for file in files}
        self.map = RecordedTests({file: defaultdict(set) for file in files})
        self.test = ""

    def trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        file = self.files.get(frame.f_code.co_filename)
        if file is None:
            return None
        lines, test = self.map.lines[file], self.test

        def line(frame: FrameType, event: str, arg: Any) -> Any:
            lines[frame.f_lineno].add(test)
            return line

        return line

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.test = item.nodeid
        sys.settrace(self.trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        seconds = self.map.seconds
        seconds[report.nodeid] = seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.map.failed.append(report.nodeid)


def record(files: Sequence[str], tests: Sequence[str], options: Sequence[str]) -> RecordedTests:
    """Runs the tests in this process, which is best a fork of its own."""
    recorder = _Recorder(files)
    code = pytest.main([*options, *tests], plugins=[recorder])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        recorder.map.failed.append(f"pytest ended with {code!r}")
    recorder.map.lines = {file: dict(lines) for file, lines in recorder.map.lines.items()}
    return recorder.map
