"""A headless Chromium without network, and the pages it opens. `make test-browser` installs it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found is not None, "there is no Chromium: run make test-browser, which installs it"
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Playwright gives every launch a fresh profile folder and removes it.
        started = playwright.chromium.launch(executable_path=executable(), headless=True, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a file with the network off. After the test: no console message, no dialog, no other request."""
    contexts, complaints = [], []

    def opened(path: Path, **options: Any) -> Any:
        context = browser.new_context(offline=True, **{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        address = path.as_uri()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda r: r.url.split("#")[0] == address or complaints.append(f"request: {r.url}"))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def write(folder: Path, name: str, report: Any) -> Path:
    from addercost.report.html.page import to_page

    file = folder / f"{name}.html"
    file.write_text(to_page(report), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def resnet50(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from addercost.analysis.subjects import CPUS, Wanted, subject_from_trace
    from addercost.api import trace_spec
    from addercost.results.report import Report

    trace = trace_spec("zoo:resnet50")
    subject = subject_from_trace("zoo:resnet50", trace, Wanted(cpus=CPUS))
    return write(tmp_path_factory.mktemp("page"), "resnet50", Report("ResNet-50", (subject,)))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import made_models

    paths = ["plain", *made_models.HOSTILE]
    return write(tmp_path_factory.mktemp("page"), "hostile", made_models.report(paths))


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import sample_data

    from addercost.results.measurements import measurements_from_data
    from addercost.results.report import Report

    data = measurements_from_data(sample_data.measurements())
    return write(tmp_path_factory.mktemp("page"), "measured", Report("Made up", (), (data,)))


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import made_models

    from addercost.analysis.subjects import Wanted, subject_from_profiles
    from addercost.results.report import Report

    profile = made_models.profile(made_models.nested(10_000))
    subject = subject_from_profiles("large", [profile], Wanted(cpus=("via-nano-2000",), energy=()))
    return write(tmp_path_factory.mktemp("page"), "large", Report("10,000 layers", (subject,)))


@pytest.fixture(scope="session")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models and measurements of layers that both have."""
    import made_models
    import sample_data

    from addercost.results.measurements import measurements_from_data
    from addercost.results.report import Report

    paths = [f"layer{i}.conv" for i in range(4)]
    subjects = (made_models.subject([*paths, "head"]), made_models.subject(paths))
    data = measurements_from_data(sample_data.measurements())
    return write(tmp_path_factory.mktemp("page"), "two", Report("Two", subjects, (data,)))
