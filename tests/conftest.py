"""Which tests may skip, and a run that fails when another one does. Random cases have no time limit.

The collector of reference cycles rests while tests are imported. Later it leaves alone what was imported:
half a million objects that it would search again and again. It searches the others after 20,000 new ones, not
after 700, which takes 1 % of the time in place of 5 %.

torch's threads sleep while they wait for each other. By default they spin, which takes processor time from
the thread that they wait for wherever other programs run: on two busy cores, 1,500 small layers took 21 to
37 s of it in place of 1.5 s. OpenMP reads the variable when torch is imported.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections import Counter
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from addercost.garbage_collection import without_garbage_collection

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

MAY_SKIP = {
    "no CUDA device": "a GPU's own tests run where there is one (`make gpu-check`)",
    "there is a GPU": "these tests are of the messages of a machine without a GPU",
    "AVX-512": "the assembly of 512-bit loops is read on a processor that has them",
    "names x86-64 processors": "the assembly of other x86-64 processors is made on x86-64",
    "no 8 GiB of addresses here": "a limit on the address space leaves no room for a large tensor",
    "torch takes it apart": "an operator that torch decomposes itself has no call of its own",
}
"""What a skip's reason contains, and why no set-up of ours can make the test run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--only-listed-skips",
        action="store_true",
        help="fail where a test skips for a reason that tests/conftest.py does not list",
    )


@pytest.fixture
def rules_as_before() -> Iterator[None]:
    """No counting rule that the test registers outlives it."""
    from addercost.counts.registry import RULES

    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


@pytest.fixture
def undrawn_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figure that `validate` writes beside its result is empty: drawing it takes a second."""
    from addercost.report.plots import style, validation

    monkeypatch.setattr(validation, "draw", lambda result, options: None)
    monkeypatch.setattr(style, "figure_bytes", lambda drawn, output: b"")


@pytest.fixture(params=["reference", pytest.param("compiled", marks=pytest.mark.exhaustive)])
def either_kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our layers run by the reference; in `make test-all` a second time by kernels, which take seconds to
    compile."""
    monkeypatch.setenv("ADDERCOST_KERNEL", "reference" if request.param == "reference" else "")


class SkipCounter:
    """Counts the reasons of skipped tests, and fails the run for a reason that is not in `MAY_SKIP`."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._count(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._count(report)

    def _count(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple) and not hasattr(report, "wasxfail"):
            self.reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1

    @property
    def unlisted(self) -> list[str]:
        listed = re.compile("|".join(map(re.escape, MAY_SKIP)))
        return [reason for reason in self.reasons if not listed.search(reason)]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unlisted and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for reason in self.unlisted:
            terminalreporter.write_line(
                f"skipped {self.reasons[reason]} times, and tests/conftest.py does not list it: {reason}",
                red=True,
            )


BEGIN_WITH = (
    "tests/trace/onnx/test_exporters.py",
    "tests/sweep/test_resume.py",
    "tests/kernels/test_candidates.py",
    "tests/sweep/test_measured.py",
    "tests/docs/test_site.py",
    "tests/train/test_processes.py",
    "tests/sweep/test_dask.py",
    "tests/sweep/test_rows.py",
    "tests/counts/test_counting_tools.py",
    "tests/report/test_committed_reports.py",
)
"""Files that take a minute or more with their exhaustive tests: each runs in one process, so that another one
would wait for such a file at the end."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    with without_garbage_collection():
        result = yield
        gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    # What is compiled of our own files is kept. What tests load from their folders leaves nothing there.
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    return result


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Else a library would report as leaked what is never freed."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(BEGIN_WITH)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


def pytest_configure(config: pytest.Config) -> None:
    # A busy machine, or one that traces lines, may take any time for one case.
    settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")
    # Workers of pytest-xdist send their reports to the one process that counts.
    if config.getoption("--only-listed-skips") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipCounter(), "skip-counter")
