"""The mutation tool: which changes it makes, which tests it chooses, and its list of accepted mutants."""

from __future__ import annotations

import gc
import importlib
import os
import re
import signal
import subprocess
import time
import weakref
from pathlib import Path

import pytest

import tests
from tools.mutants import __main__ as tool
from tools.mutants.__main__ import PARTS, entered, files_of
from tools.mutants.accepted import accepted_mutants
from tools.mutants.collected import in_place
from tools.mutants.direct_imports import direct_imports
from tools.mutants.forks import NoResult, Task, in_forks
from tools.mutants.idleness import Idleness, Process
from tools.mutants.kept_results import OWN
from tools.mutants.mutations import Mutant, changed_lines, mutants_of, mutated
from tools.mutants.outcome import FirstFailure, Outcome, outcome_of
from tools.mutants.recorded_tests import IMPORT, OF_EVERY_CLASS, RecordedTests
from tools.mutants.replacing import functions_by_place, replace_function

ROOT = Path(__file__).parents[1]
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


def test_a_mutant_knows_its_statement_and_the_function_around_it(
    mutants: list[Mutant], tmp_path: Path
) -> None:
    """The test of the `if` is line 3, without the return inside it; parameters belong to the whole function,
    and their defaults are made during the import."""
    lines = {mutant.line: (mutant.lines, mutant.around and mutant.around.body) for mutant in mutants}
    assert lines == {1: ((1, 5), None), 3: ((3, 3), (2, 5)), 5: ((5, 5), (2, 5))}
    places = {mutant.around.place for mutant in mutants if mutant.around}
    assert places == {(str(tmp_path / "half.py"), "half", 1)}


def test_what_only_changes_speed_is_no_mutant(tmp_path: Path) -> None:
    file = tmp_path / "slots.py"
    file.write_text("""\
from dataclasses import dataclass
import functools

@dataclass(frozen=True, slots=True)
class Half:
    @functools.cache
    def of(self): ...
""")
    assert {changed_lines(mutant)[1] for mutant in mutants_of(file)} == {
        "@dataclass(frozen=False, slots=True)",
        "",
    }


def test_lengths_that_have_to_be_equal_are_no_mutant(tmp_path: Path) -> None:
    file = tmp_path / "zips.py"
    file.write_text("equal = zip('ab', 'cd', strict=True)\nother = zip('ab', 'c', strict=False)\n")
    assert {changed_lines(mutant)[1] for mutant in mutants_of(file)} == {
        "other = zip('ab', 'c', strict=True)"
    }


def test_a_part_inside_another_is_counted_apart() -> None:
    files = {part: set(files_of(part)) for part in ("addercost/counts", "addercost/counts/rules")}
    assert all(files.values()) and not set.intersection(*files.values())
    assert set.union(*files.values()) == set(Path("addercost/counts").rglob("*.py"))
    assert tool.tests_for("addercost/counts/rules/losses.py") == PARTS["addercost/counts/rules"]


def test_a_function_is_replaced_where_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "halved_number.py"
    file.write_text("class Half:\n    def of(self, n):\n        return [n / 2 for _ in range(1)]\n")
    monkeypatch.syspath_prepend(tmp_path)
    half = importlib.import_module("halved_number").Half()
    (mutant,) = (one for one in mutants_of(file) if one.operator == "ReplaceBinaryOperator_Div_Mul")
    assert mutant.around is not None
    # What a weak proxy stands for may be gone, and whoever asks it for anything gets an error.
    proxy = weakref.proxy(type("Gone", (), {})())
    assert gc.is_tracked(proxy)
    functions = functions_by_place({str(file)})
    replace_function(functions[mutant.around.place], mutant.around.place, mutated(mutant))
    assert half.of(3) == [6]


def test_a_function_is_found_where_the_collector_leaves_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it leaves what was imported for the tests."""
    file = tmp_path / "frozen_number.py"
    file.write_text("def of(n):\n    return n / 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("frozen_number")
    gc.freeze()
    assert len(functions_by_place({str(file)})) == 1


def test_what_imports_the_package_is_not_imported_before_a_mutant_is_made() -> None:
    """It would import our modules without a change, and no test would notice any."""
    folders = {
        folder.name
        for folder in ROOT.iterdir()
        if folder.is_dir() and not folder.name.startswith(".")
        if any(re.search("(from|import) addercost", file.read_text()) for file in folder.rglob("*.py"))
    }
    assert folders <= {*OWN}


def test_each_test_function_has_the_same_time_and_its_quickest_case_first() -> None:
    """After f[1] at 0.1 s come f[2] at 0.1 + 0.2 s and g at 1 s; f[3] is at 0.1 + 0.2 + 0.8 s."""
    seconds = {"a.py::f[3]": 0.8, "a.py::f[1]": 0.1, "a.py::f[2]": 0.2, "b.py::g": 1.0, "c.py::h": 0.1}
    record = RecordedTests(
        {"x.py": {3: {"a.py::f[1]", "a.py::f[2]", "a.py::f[3]"}, 4: {"b.py::g"}, 9: {"c.py::h"}}}, seconds
    )
    assert record.tests_for("x.py", (2, 5), 10.0) == ["a.py::f[1]", "a.py::f[2]", "b.py::g", "a.py::f[3]"]
    assert record.tests_for("x.py", (2, 5), 0.4) == ["a.py::f[1]", "a.py::f[2]"]
    assert record.left_out("x.py", (2, 5), ["a.py::f[1]", "a.py::f[2]"]) == 2
    assert record.tests_for("x.py", (4, 4), 0.4) == ["b.py::g"]
    assert record.tests_for("x.py", (20, 30), 10.0) == []


def test_tests_of_a_module_that_imports_the_file_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package").mkdir()
    for name in ("package/__init__.py", "package/x.py", "package/y.py", "z.py"):
        (tmp_path / name).touch()
    (tmp_path / "test_b.py").write_text("import os\nfrom package import x\nfrom z import half\n")
    (tmp_path / "test_a.py").write_text("import package.y as y\n")
    monkeypatch.chdir(tmp_path)
    imported = {name: direct_imports(Path(name)) for name in ("test_a.py", "test_b.py")}
    assert imported["test_b.py"] == {"package/__init__.py", "package/x.py", "z.py"}
    assert imported["test_a.py"] == {"package/y.py"}
    tests = {"test_a.py::f", "test_b.py::g"}
    record = RecordedTests(
        {"package/x.py": {3: tests}}, {"test_a.py::f": 0.1, "test_b.py::g": 0.3}, imported=imported
    )
    assert record.tests_for("package/x.py", (3, 3)) == ["test_b.py::g", "test_a.py::f"]


def test_a_shared_fixture_is_paid_once() -> None:
    """f and g take 0.1 s each and 1 s for what they share: 1.2 s together, and not 2.2 s."""
    record = RecordedTests(
        {"x.py": {3: {"a.py::f", "a.py::g"}}},
        {"a.py::f": 0.1, "a.py::g": 0.1},
        {"a.py::f": frozenset({"fixture a.py::data"}), "a.py::g": frozenset({"fixture a.py::data"})},
        {"fixture a.py::data": 1.0},
    )
    assert record.tests_for("x.py", (3, 3), 1.3) == ["a.py::f", "a.py::g"]
    assert record.tests_for("x.py", (3, 3), 1.1) == ["a.py::f"]
    assert record.cpu_s(["a.py::f", "a.py::g"]) == pytest.approx(10 + 3 * 1.2)


@pytest.mark.exhaustive
def test_what_was_computed_before_a_test_belongs_to_all_tests_that_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a fixture, a function that keeps its results, or while the tests were imported."""
    package = tmp_path / "tests" / "shared_results"
    package.mkdir(parents=True)
    (package / "computed.py").write_text("""\
import functools

def shared():
    return 4 / 2

@functools.cache
def kept():
    return 6 / 2

def parameter():
    return 8 / 2
""")
    (package / "test_computed.py").write_text("""\
import pytest
from tests.shared_results.computed import kept, parameter, shared

FOUR = parameter()

@pytest.fixture(scope="module")
def two():
    return shared()

def test_first(two):
    assert two and kept()

def test_second(two):
    assert two == 2

def test_third():
    assert kept() == 3

def test_fourth():
    assert FOUR == 4
""")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(tests, "__path__", [str(tmp_path / "tests"), *tests.__path__])
    mutants = list(mutants_of(Path("tests/shared_results/computed.py")))
    found = in_place(mutants, ["tests/shared_results"], 1, 20.0, lambda outcome: None)
    gc.unfreeze()
    assert not found.tests.failed
    name = "tests/shared_results/test_computed.py::test_"
    killers = {changed_lines(one.mutant)[1]: one.killer for one in found.outcomes}
    (imported,) = [one for one in found.others if changed_lines(one)[1] == "return 8 * 2"]
    assert f"{name}fourth" in found.tests.tests_for(imported.file, imported.lines, 20.0)
    assert killers["return 4 * 2"] == f"{name}second"
    assert killers["return 6 * 2"] == f"{name}third"


def test_what_runs_during_an_import_is_for_all_tests() -> None:
    """A line inside of a function is for those that run another line of the file too."""
    record = RecordedTests(
        {"x.py": {3: {"a.py::f", f"{IMPORT}a.py"}, 5: {"b.py::g"}}},
        {"a.py::f": 0.4, "b.py::g": 0.1, "c.py::h": 0.1},
    )
    assert record.tests_for("x.py", (0, 0), 1.0) == ["b.py::g", "a.py::f", "c.py::h"]
    assert record.tests_for("x.py", (3, 3), 1.0) == ["a.py::f", "b.py::g"]
    assert record.tests_for("x.py", (5, 5), 1.0) == ["b.py::g"]


def test_what_is_outside_of_functions_is_first_for_the_tests_of_every_class() -> None:
    """They take longer than others, and reach a class through its package."""
    form = f"{OF_EVERY_CLASS}::frozen"
    record = RecordedTests({"x.py": {3: {"a.py::f"}}}, {"a.py::f": 0.1, form: 0.5, "b.py::g": 0.2})
    assert Path(OF_EVERY_CLASS).is_file()
    assert record.tests_for("x.py", (0, 0), 1.3) == [form, "a.py::f", "b.py::g"]
    assert record.tests_for("x.py", (3, 3), 1.3) == ["a.py::f"]


def test_a_fork_that_dies_or_hangs_has_no_result() -> None:
    def dies() -> None:
        raise SystemExit

    def hangs() -> None:
        while True:
            pass

    tasks = [Task("two", lambda: 2, 1.0), Task("dies", dies, 1.0), Task("hangs", hangs, 0.1)]
    assert dict(in_forks(tasks, jobs=3)) == {
        "two": 2,
        "dies": NoResult("SystemExit: ", True),
        "hangs": NoResult("more processor time than it may take", True),
    }


def test_the_fork_of_a_fork_ends_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    def inner() -> None:
        pid_file.write_text(str(os.getpid()))
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)

    def outer() -> None:
        list(in_forks([Task("inner", inner, 1.0)], jobs=1))

    ((_, result),) = in_forks([Task("outer", outer, 1.0)], jobs=1)
    assert not result.own_doing
    deadline = time.monotonic() + 30
    while is_running(int(pid_file.read_text())) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(int(pid_file.read_text()))


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def test_a_fork_that_others_end_decides_nothing_and_one_that_sleeps_is_noticed(mutants: list[Mutant]) -> None:
    """Not so a fork that uses up its processor time: what ends it is its own doing."""
    tasks = [
        Task("ended", lambda: os.kill(os.getpid(), signal.SIGKILL), 1.0),
        Task("sleeps", lambda: time.sleep(600), 1.0),
        Task("waits for one that sleeps", lambda: subprocess.run(["sleep", "600"], check=True), 1.0),
    ]
    results = dict(in_forks(tasks, jobs=3, idle_s=0.4))
    assert not results.pop("ended").own_doing
    assert set(results.values()) == {NoResult("did nothing for 0 s", True)}
    results |= {"ended": NoResult("ended by SIGKILL", False), "passed": FirstFailure()}
    tally = entered([outcome_of(mutants[0], 1, 0, result) for result in results.values()], ())
    assert tally.outcomes == {"undecided": 1, "killed": 2, "survived": 1}
    assert tally.shares == (1 / 3, 1 / 3)


def stat(parent: int, state: str, used: int) -> Process:
    return Process(parent, state, used)


@pytest.mark.parametrize(
    "second, idle",
    [
        pytest.param({7: stat(1, "S", 5), 8: stat(7, "S", 3)}, True, id="all-sleep"),
        pytest.param({7: stat(1, "S", 5), 8: stat(7, "S", 4)}, False, id="a-child-worked"),
        pytest.param({7: stat(1, "S", 5), 8: stat(7, "R", 3)}, False, id="a-child-waits-for-a-processor"),
        pytest.param({7: stat(1, "S", 5), 8: stat(7, "T", 3)}, False, id="a-child-is-stopped"),
        pytest.param({7: stat(1, "S", 5), 8: stat(7, "D", 3)}, False, id="a-child-waits-for-a-disk"),
        pytest.param({7: stat(1, "S", 5), 8: stat(7, "S", 3), 9: stat(1, "R", 9)}, True, id="another-works"),
    ],
)
def test_only_a_tree_of_processes_that_all_sleep_is_idle(second: dict[int, Process], idle: bool) -> None:
    idleness = Idleness(7)
    idleness.look({7: stat(1, "S", 5), 8: stat(7, "S", 3)})
    assert idleness.looks == 0
    idleness.look(second)
    idleness.look(second)
    assert idleness.looks == (2 if idle else int(second[8].state == "S"))


def test_a_survivor_with_tests_left_out_is_counted_apart(mutants: list[Mutant]) -> None:
    """One noticed, one that all tests passed, two of which a part ran: from 1 of 4 to 3 of 4 survive."""
    outcomes = [
        Outcome(mutants[0], killer, 1, left) for killer, left in [("f", 5), (None, 0), (None, 1), (None, 9)]
    ]
    tally = entered(outcomes, ())
    assert tally.outcomes == {"killed": 1, "survived": 1, "cut off": 2}
    assert tally.shares == (1 / 4, 3 / 4)


def test_accepted_mutants_are_of_lines_that_are_there() -> None:
    for one in accepted_mutants().values():
        lines = [line.strip() for line in Path(one.file).read_text(encoding="utf-8").splitlines()]
        assert one.before in lines, one
