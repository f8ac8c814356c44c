"""The mutation tool: which changes it makes, which tests it chooses, and its list of accepted mutants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.mutants.accepted import accepted_mutants
from tools.mutants.forks import in_forks
from tools.mutants.mutations import Mutant, changed_lines, mutants_of
from tools.mutants.recorded_tests import RecordedTests

SOURCE = '''\
def half(n: int | None, exact: bool = True) -> float | None:
    """Of n - 1."""
    if n is None or n < 0:
        return None
    return n / 2
'''


@pytest.fixture
def mutants(tmp_path: Path) -> list[Mutant]:
    file = tmp_path / "half.py"
    file.write_text(SOURCE)
    return list(mutants_of(file))


def test_changes_are_of_what_runs(mutants: list[Mutant]) -> None:
    """Neither `int | None` nor the docstring's minus is an operator that a run could notice."""
    changes = {changed_lines(mutant)[1] for mutant in mutants}
    assert {"if n is not None or n < 0:", "if n is None and n < 0:", "if n is None or n <= 0:"} <= changes
    assert {"return n * 2", "if n is None or n < 1:"} <= changes
    assert not any("&" in change or "n + 1" in change for change in changes)
    assert {mutant.function for mutant in mutants} == {(1, 5)}


def test_the_quickest_test_of_each_function_comes_first() -> None:
    seconds = {"a.py::f[1]": 0.1, "a.py::f[2]": 0.2, "b.py::g": 3.0, "c.py::h": 0.1}
    tests = RecordedTests(
        {"x.py": {3: {"a.py::f[1]", "a.py::f[2]"}, 4: {"b.py::g"}, 9: {"c.py::h"}}}, seconds
    )
    assert tests.tests_for("x.py", (2, 5), 10.0) == ["a.py::f[1]", "b.py::g", "a.py::f[2]"]
    assert tests.tests_for("x.py", (2, 5), 1.0) == ["a.py::f[1]"]
    assert set(tests.tests_for("x.py", (0, 0), 10.0)) == set(seconds)
    assert tests.tests_for("x.py", (20, 30), 10.0) == []


def test_a_fork_that_dies_or_hangs_has_no_result() -> None:
    def dies() -> None:
        raise SystemExit

    def hangs() -> None:
        while True:
            pass

    tasks = [("two", lambda: 2), ("dies", dies), ("hangs", hangs)]
    assert dict(in_forks(tasks, jobs=3, limit_s=1.0)) == {"two": 2, "dies": None, "hangs": None}


def test_accepted_mutants_are_of_lines_that_are_there() -> None:
    for one in accepted_mutants().values():
        lines = [line.strip() for line in Path(one.file).read_text(encoding="utf-8").splitlines()]
        assert one.before in lines, one
