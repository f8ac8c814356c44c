"""Runs tests that are imported after the mutant was made, for changes of code that runs during an import."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from tools.mutants.forks import NoResult, Task, in_forks
from tools.mutants.mutations import Mutant, mutated
from tools.mutants.outcome import OPTIONS, FirstFailure, Outcome, folder_for_tests, import_modules, outcome_of
from tools.mutants.recorded_tests import RecordedTests
from tools.mutants.replacing import replace_source

IMPORT_S = 60.0


def imported_anew(
    mutants: Iterable[Mutant], tests: RecordedTests, jobs: int, limit_s: float
) -> Iterator[Outcome]:
    """Runs mutants in forks of this process, which has imported no module of ours."""
    import_modules(tests.modules)
    # A module of ours that were here already would have no mutant in any fork.
    assert not any(name.partition(".")[0] == "addercost" for name in sys.modules)
    gc.freeze()
    tasks = (_task(mutant, tests.tests_for(mutant.file, mutant.lines, limit_s), tests) for mutant in mutants)
    for key, result in in_forks(tasks, jobs):
        yield outcome_of(*key, result)


def fail_unchanged(names: Sequence[str], tests: RecordedTests, jobs: int) -> list[str]:
    """Those of the tests that fail when each runs alone without a change."""
    tasks = [
        Task(name, functools.partial(first_failure, None, [name]), IMPORT_S + tests.cpu_s([name]))
        for name in names
    ]
    return [
        name
        for name, result in in_forks(tasks, jobs)
        if isinstance(result, NoResult) or result.name is not None
    ]


def _task(mutant: Mutant, names: list[str], tests: RecordedTests) -> Task:
    run = functools.partial(first_failure, mutant, names)
    left_out = tests.left_out(mutant.file, mutant.lines, names)
    return Task((mutant, len(names), left_out), run, IMPORT_S + tests.cpu_s(names))


def first_failure(mutant: Mutant | None, names: Sequence[str]) -> FirstFailure:
    first = FirstFailure()
    if not names:
        return first
    if mutant is not None:
        replace_source(str(Path(mutant.file).resolve()), mutated(mutant))
    with folder_for_tests():
        code = pytest.main([*OPTIONS, *names], plugins=[first])
    if first.name is None and code != pytest.ExitCode.OK:
        first.name = ""
    return first
