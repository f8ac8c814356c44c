"""Records which tests run which lines, and how long each test takes, in one run of the tests under Python's
tracer.

Data that a test uses may have been computed before it: while its module was imported, by a fixture that
several tests share, or by a function that caches its results. So lines that run during the import of a module
of tests count for all its tests, and the lines of a fixture count for every test that uses it. Caches are
cleared before each test (`kept_results.py`).
"""

from __future__ import annotations

import itertools
import math
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tools.mutants.direct_imports import direct_imports
from tools.mutants.kept_results import OWN, forget_results

OF_EVERY_CLASS = "tests/test_data_classes.py"
"""Its tests look at the data classes of every file: at their decorators and at what a field is by default."""

IMPORT = "import "
"""Begins the name that stands for the import of a module of tests, in place of a test's name."""


@dataclass
class RecordedTests:
    """lines: for each file, the tests that ran each line. seconds: processor time by test. fixtures: the
    fixtures that each test shares with others. fixture_s: their processor time, which is not in a test's.
    failed: tests that fail without a mutant. modules: the modules that the tests imported. imported: for each
    module of tests, the files that it imports by name.
    """

    lines: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    fixtures: dict[str, frozenset[str]] = field(default_factory=dict)
    fixture_s: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    imported: dict[str, frozenset[str]] = field(default_factory=dict)

    def running(self, file: str, lines: tuple[int, int]) -> set[str]:
        """The tests that run one of the lines, from the first to the last."""
        by_line: Mapping[int, set[str]] = self.lines.get(file, {})
        first, last = lines
        return set().union(*(tests for line, tests in by_line.items() if first <= line <= last), set())

    def tests_for(self, file: str, lines: tuple[int, int], limit_s: float = math.inf) -> list[str]:
        """The tests that run one of the lines, as many as take `limit_s` together. Tests whose module imports
        the file by name come first; among these, and among the others, the quickest come first. Every test
        function gets an equal share of the time for its cases.

        Other tests may notice a change of lines that run during an import. Half of the time is for tests that
        run another line of the file; for lines (0, 0), outside of functions, it is for all other tests. There
        the tests of every class come first.
        """
        in_file = self.running(file, (0, sys.maxsize))
        nearest, others = self.running(file, lines) if lines[1] else in_file, in_file
        if lines[1] and not imports(nearest):
            return self._in_turn(nearest, file, limit_s)
        if not lines[1]:
            others = set(self.seconds)
            nearest = nearest | {name for name in others if name.startswith(OF_EVERY_CLASS)}
        nearest = nearest - imports(nearest)
        first = self._in_turn(nearest, file, limit_s / 2)
        return first + self._in_turn(others - nearest - imports(others), file, limit_s - self._sum(first))

    def left_out(self, file: str, lines: tuple[int, int], names: Sequence[str]) -> int:
        """How many more tests than `names` there would be without a time limit."""
        return len(self.tests_for(file, lines)) - len(names)

    def _in_turn(self, names: set[str], file: str, limit_s: float) -> list[str]:
        spent: dict[str, float] = defaultdict(float)
        order = []
        for name in sorted(names, key=lambda name: (self.seconds.get(name, 0.0), name)):
            function = name.partition("[")[0]
            spent[function] += self.seconds.get(name, 0.0)
            module = name.partition("::")[0]
            is_direct = module == OF_EVERY_CLASS or file in self.imported.get(module, ())
            order.append((not is_direct, spent[function], name))
        chosen = [name for _, _, name in sorted(order)]
        sums = itertools.accumulate(self._costs(chosen))
        return [
            name
            for i, (name, sum_s) in enumerate(zip(chosen, sums, strict=True))
            if not i or sum_s <= limit_s
        ]

    def _costs(self, names: Sequence[str]) -> Iterator[float]:
        """Seconds of each test. The time of a shared fixture counts for the first test that uses it."""
        paid: set[str] = set()
        for name in names:
            new = self.fixtures.get(name, frozenset()) - paid
            paid |= new
            yield self.seconds.get(name, 0.0) + sum(self.fixture_s.get(one, 0.0) for one in new)

    def _sum(self, names: Sequence[str]) -> float:
        return sum(self._costs(names))

    def cpu_s(self, names: Sequence[str]) -> float:
        """The limit of processor time for these tests. It is much more than they take, so that only a run
        that would not end is ended.
        """
        return 10.0 + 3 * self._sum(names)


def imports(names: set[str]) -> set[str]:
    """The names that stand for imports and not for tests."""
    return {name for name in names if name.startswith(IMPORT)}


class Recorder:
    """A pytest plugin that records which lines of the given files each test runs."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = {str(Path(file).resolve()): file for file in files}
        self.map = RecordedTests({file: defaultdict(set) for file in files})
        self.test = IMPORT

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Any:
        self.test = f"{IMPORT}{collector.nodeid}"
        try:
            return (yield)
        finally:
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

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Any:
        if fixturedef.scope == "function":
            return (yield)
        test, self.test = self.test, f"fixture {fixturedef.baseid}::{fixturedef.argname}"
        start_s = _cpu_s()
        try:
            return (yield)
        finally:
            self.map.fixture_s[self.test] = _cpu_s() - start_s
            if test in self.map.seconds:
                self.map.seconds[test] -= self.map.fixture_s[self.test]
            self.test = test

    def start(self, item: pytest.Item) -> None:
        """Starts the recording for `item`."""
        forget_results()
        self.test = item.nodeid
        shared = (one for defs in _fixtures(item).values() for one in defs if one.scope != "function")
        self.map.fixtures[self.test] = frozenset(f"fixture {one.baseid}::{one.argname}" for one in shared)
        self.map.seconds[self.test] = 0.0
        self.start_s = _cpu_s()

    def end(self) -> None:
        self.map.seconds[self.test] += _cpu_s() - self.start_s

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.map.failed.append(report.nodeid)

    def recorded(self) -> RecordedTests:
        using: dict[str, set[str]] = defaultdict(set)
        for test in self.map.seconds:
            for one in (*self.map.fixtures[test], f"{IMPORT}{test.partition('::')[0]}"):
                using[one].add(test)
        for lines in self.map.lines.values():
            for names in lines.values():
                names.update(*(using[one] for one in names & using.keys()))
                names.difference_update(self.map.fixture_s)
        self.map.lines = {file: dict(lines) for file, lines in self.map.lines.items()}
        modules = {test.partition("::")[0] for test in self.map.seconds}
        self.map.imported = {name: direct_imports(Path(name)) for name in modules}
        self.map.modules = [name for name in sys.modules if name.partition(".")[0] not in OWN]
        return self.map


def _fixtures(item: pytest.Item) -> Mapping[str, Sequence[pytest.FixtureDef[Any]]]:
    """The fixtures that a test uses, by name, with those that each of them overrides."""
    info = getattr(item, "_fixtureinfo", None)
    return info.name2fixturedefs if info else {}


def _cpu_s() -> float:
    """Processor time of this process and its children so far."""
    return sum(os.times()[:4])
