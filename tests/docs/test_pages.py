"""README and `docs/`: commands print what pages show, Python examples run, links lead somewhere."""

from __future__ import annotations

import doctest
import re
import sys
from pathlib import Path

import pytest

import addercost

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import page_blocks as blocks  # noqa: E402

PAGES = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in blocks.pages()}
COMMANDS = {
    name: [step.command for step in blocks.steps(text) if isinstance(step, blocks.Shown)]
    for name, text in PAGES.items()
}
LONG = ("docs/users/detector.md", "docs/users/search.md", "docs/users/paper-table.md")
"""Detectors choose boxes by values, so they are run, which takes half a minute. A search and the tables of
the paper take seconds."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.exhaustive if name in LONG else ())
        for name, commands in COMMANDS.items()
        if commands
    ],
)
def test_commands_print_what_is_shown(name: str) -> None:
    for shown, now in blocks.printed(PAGES[name]):
        assert blocks.matches(shown.output, now), f"$ {shown.command}\n{now}"


def test_readme_stays_short() -> None:
    """A newcomer reads it whole; more belongs to `docs/`."""
    assert len(PAGES["README.md"].splitlines()) <= 150


@pytest.mark.parametrize(
    ("shown", "printed", "agree"),
    [
        pytest.param("a\nb\n", "a\nb\n", True, id="equal"),
        pytest.param("a\nb\n", "a\nc\n", False, id="another-line"),
        pytest.param("a\n…\nd\n", "a\nb\nc\nd\n", True, id="any-lines"),
        pytest.param("a\n…\nd\n", "a\nd\n", True, id="no-line"),
        pytest.param("a\n…\nd\n", "a\nb\ne\n", False, id="after-any-lines"),
        pytest.param("took … ms\n", "took 12.5 ms\n", True, id="within-a-line"),
        pytest.param("took … ms\n", "took 12.5 s\n", False, id="after-any-characters"),
        pytest.param("a\n", "a\nb\n", False, id="more-lines"),
        pytest.param("1.5\n", "145\n", False, id="a-dot-is-a-dot"),
    ],
)
def test_what_agrees(shown: str, printed: str, agree: bool) -> None:
    assert blocks.matches(shown, printed) is agree


def test_a_block_that_nothing_runs_is_a_fault() -> None:
    with pytest.raises(ValueError, match="neither runs nor says why"):
        list(blocks.steps("```sh\naddercost doctor\n```\n"))
    reason = "<!-- not run: it takes three minutes -->\n"
    assert not list(blocks.steps(f"{reason}```sh\naddercost doctor\n```\n"))


def test_a_page_is_rewritten_with_what_is_printed() -> None:
    page = """Text.

```console
$ addercost --version
another
$ addercost --version
addercost…
```

End.
"""
    version = f"addercost, version {addercost.__version__}"
    assert blocks.rewritten(page) == page.replace("another", version)


@pytest.mark.parametrize("name", [name for name, text in PAGES.items() if ">>> " in text])
def test_python_sessions_print_what_is_shown(name: str) -> None:
    session = doctest.DocTestParser().get_doctest(PAGES[name], {"addercost": addercost}, name, name, 0)
    assert session.examples
    assert doctest.DocTestRunner().run(session).failed == 0


OTHERS = {
    name: (ROOT / name).read_text("utf-8") for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
}


@pytest.mark.parametrize("name", [*PAGES, *OTHERS])
def test_links_and_paths_exist(name: str) -> None:
    text = (PAGES | OTHERS)[name]
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        generated = "reference/" in target
        assert generated or ((ROOT / name).parent / target).exists(), target
    for path in re.findall(r"`((?:addercost|tests|tools|examples|benchmarks)/[\w./]*)`", text):
        assert (ROOT / path).exists(), path
