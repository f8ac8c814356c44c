"""Tests that are imported once and then run in forks, each of which changes one function first."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tools.mutants.forks import NoResult, Task, in_forks
from tools.mutants.kept_results import forget_results
from tools.mutants.mutations import Mutant, mutated
from tools.mutants.outcome import OPTIONS, FirstFailure, Outcome, folder_for_tests, import_modules, outcome_of
from tools.mutants.recorded_tests import RecordedTests, Recorder, imports
from tools.mutants.replacing import functions_by_place, replace_function

RECORDING_S = 3600.0


@dataclass
class Found:
    """The record of the tests, the outcomes of mutants that were made in place, and the mutants that could
    not be made so.
    """

    tests: RecordedTests = field(default_factory=RecordedTests)
    outcomes: list[Outcome] = field(default_factory=list)
    others: list[Mutant] = field(default_factory=list)


class Collected:
    """A pytest plugin that, in place of the tests' run, records them and then runs mutants in forks.

    A mutant is made here if it changes the body of a function that did not run while the tests were imported,
    so that nothing in the process depends on the change. Other mutants need a process that has imported
    nothing.
    """

    def __init__(
        self, mutants: Sequence[Mutant], jobs: int, limit_s: float, ended: Callable[[Outcome], None]
    ) -> None:
        self.mutants, self.jobs, self.limit_s, self.ended = mutants, jobs, limit_s, ended
        self.recorder = Recorder(sorted({mutant.file for mutant in mutants}))
        self.found = Found()

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self, session: pytest.Session) -> Any:
        session.config.pluginmanager.register(self.recorder)
        sys.settrace(self.recorder.trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            session.config.pluginmanager.unregister(self.recorder)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        record = functools.partial(self._record, session)
        ((_, tests),) = in_forks([Task("", record, RECORDING_S)], 1)
        if isinstance(tests, NoResult):
            tests = RecordedTests(failed=[f"the run of all tests: {tests.why}"])
        self.found.tests = tests
        if self.found.tests.failed:
            return True
        import_modules(self.found.tests.modules)
        self.functions = functions_by_place(set(self.recorder.files))
        self.items = {item.nodeid: item for item in session.items}
        gc.collect()
        gc.freeze()
        inside = [mutant for mutant in self.mutants if self._is_in_place(mutant)]
        self.found.others = [mutant for mutant in self.mutants if mutant not in set(inside)]
        for key, result in in_forks(map(self._task, inside), self.jobs):
            self.found.outcomes.append(outcome_of(*key, result))
            self.ended(self.found.outcomes[-1])
        return True

    def _record(self, session: pytest.Session) -> RecordedTests:
        session.config.pluginmanager.register(self.recorder)
        with folder_for_tests():
            for item, after in zip(session.items, [*session.items[1:], None], strict=True):
                self.recorder.start(item)
                sys.settrace(self.recorder.trace)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
                sys.settrace(None)
                self.recorder.end()
        return self.recorder.recorded()

    def _is_in_place(self, mutant: Mutant) -> bool:
        around = mutant.around
        return (
            around is not None
            and around.place in self.functions
            and not imports(self.found.tests.running(mutant.file, around.body))
        )

    def _task(self, mutant: Mutant) -> Task:
        names = self.found.tests.tests_for(mutant.file, mutant.lines, self.limit_s)
        run = functools.partial(self._first_failure, mutant, [self.items[name] for name in names])
        left_out = self.found.tests.left_out(mutant.file, mutant.lines, names)
        return Task((mutant, len(names), left_out), run, self.found.tests.cpu_s(names))

    def _first_failure(self, mutant: Mutant, items: Sequence[pytest.Item]) -> FirstFailure:
        assert mutant.around is not None
        place = mutant.around.place
        replace_function(self.functions[place], place, mutated(mutant))
        forget_results()
        first = FirstFailure()
        with folder_for_tests():
            for item, after in zip(items, [*items[1:], None], strict=True):
                item.config.pluginmanager.register(first)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
                item.config.pluginmanager.unregister(first)
                if first.name is not None:
                    break
        return first


def in_place(
    mutants: Sequence[Mutant],
    tests: Sequence[str],
    jobs: int,
    limit_s: float,
    ended: Callable[[Outcome], None],
) -> Found:
    """Records the tests and runs those mutants that need no new import. ended: called with each outcome."""
    plugin = Collected(mutants, jobs, limit_s, ended)
    code = pytest.main([*OPTIONS, *tests], plugins=[plugin])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        plugin.found.tests.failed.append(f"pytest ended with {code!r}")
    return plugin.found
