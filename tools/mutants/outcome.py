"""The outcome of a mutant, and the parts that every run of tests needs to find it."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from tools.mutants.forks import NoResult
from tools.mutants.mutations import Mutant

OPTIONS = ("-q", "-x", "-n0", "-p", "no:cacheprovider", "-m", "not exhaustive", "-W", "ignore",
           "--assert=plain", "--tb=native")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """killer: the test that noticed the mutant; "" for a mutant that ended the run, None for a survivor.
    tests: how many tests were chosen to run. left_out: how many more run the changed statement, for which
    there was no time. undecided: the reason why the outcome is unknown, "" where it is known.
    """

    mutant: Mutant
    killer: str | None
    tests: int
    left_out: int = 0
    undecided: str = ""

    @property
    def survived(self) -> bool:
        return self.killer is None and not self.undecided


@dataclass(eq=False)
class FirstFailure:
    """A pytest plugin that keeps the name of the first test that fails; "" where an import fails."""

    name: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.name is None:
            self.name = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and self.name is None:
            self.name = ""


def outcome_of(mutant: Mutant, tests: int, left_out: int, result: FirstFailure | NoResult) -> Outcome:
    """The outcome of a run. A mutant counts as noticed if the run ended itself, slept for too long or
    exceeded its processor time. If others ended the run, the outcome is unknown.
    """
    if not isinstance(result, NoResult):
        return Outcome(mutant, result.name, tests, left_out)
    if result.own_doing:
        return Outcome(mutant, "", tests, left_out)
    return Outcome(mutant, None, tests, left_out, result.why)


@contextlib.contextmanager
def folder_for_tests() -> Iterator[None]:
    """Gives the tests inside the block a folder for their temporary files, and removes it at the end."""
    folder = tempfile.mkdtemp()
    os.environ["PYTEST_DEBUG_TEMPROOT"] = folder
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def import_modules(names: Iterable[str]) -> None:
    """Imports the modules of other packages that tests import, so that forks inherit them."""
    for name in names:
        with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):
            importlib.import_module(name)
