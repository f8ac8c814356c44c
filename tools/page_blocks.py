"""The shell blocks of README and `docs/`: runs them, compares what they print, writes it anew.

Usage: python tools/page_blocks.py [PAGE...]

Writes into each page (all by default) what its commands print now, where the page shows something else.

A block in a page is one of these:
- ```console: each line that begins with `$ ` is a command, and what follows its output. `…` on its own line
  stands for any lines, within a line for any characters.
- a fence with title="NAME": a file that the later blocks of the page use.
- ```sh after a line `<!-- not run: REASON -->`: commands that no test runs.
The commands of one page run one after the other in one folder, which holds a copy of `examples/`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"(?ms)^```(?P<language>[a-z]*)(?P<rest>[^\n]*)\n(?P<body>.*?)^```$")
TITLE = re.compile(r'title="([^"]+)"')
NOT_RUN = re.compile(r"<!-- not run: .{10,} -->\n+\Z")
COLUMNS = 100
ANY = "…"


@dataclass(frozen=True, slots=True)
class Shown:
    """A command of a page. start, end: the positions of its output in the page's text."""

    command: str
    output: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class File:
    """A file that later commands of the page use."""

    name: str
    content: str


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def steps(text: str) -> Iterator[Shown | File]:
    """The files and commands of a page, in their order. Raises ValueError for a block that nothing runs."""
    for fence in FENCE.finditer(text):
        title = TITLE.search(fence["rest"])
        if title:
            yield File(title[1], fence["body"])
        elif fence["language"] == "console":
            yield from _commands(fence["body"], fence.start("body"))
        elif fence["language"] in ("sh", "bash", "shell") and not NOT_RUN.search(text[: fence.start()]):
            raise ValueError(f"a shell block neither runs nor says why not: {fence['body'].splitlines()[0]}")


def _commands(body: str, offset: int) -> Iterator[Shown]:
    starts = [match.start() for match in re.finditer(r"(?m)^\$ ", body)]
    for start, end in zip(starts, [*starts[1:], len(body)], strict=True):
        line_end = body.index("\n", start) + 1
        yield Shown(body[start + 2 : line_end - 1], body[line_end:end], offset + line_end, offset + end)


def matches(shown: str, printed: str) -> bool:
    """Whether a command's output fits the text on a page, in which `…` stands for anything."""
    lines = [line.rstrip() for line in shown.strip("\n").splitlines()]
    pattern = "".join(
        r"(?:[^\n]*\n)*?" if line.strip() == ANY else ".*?".join(map(re.escape, line.split(ANY))) + r"\n"
        for line in lines
    )
    now = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, now) is not None


def run(command: str, folder: Path) -> str:
    """The output of an addercost command on stdout, then on stderr, with its exit code if that is not 0."""
    from addercost.cli import run as run_addercost

    program, *arguments = shlex.split(command, comments=True)
    if program != "addercost":
        raise ValueError(f"only addercost is run: {command}")
    output, errors = io.StringIO(), io.StringIO()
    here = {"COLUMNS": str(COLUMNS), "NO_COLOR": "1", "XDG_CACHE_HOME": str(folder / ".cache")}
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, here),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        code = run_addercost(arguments)
    end = f"exit code {code}\n" if code else ""
    return output.getvalue() + errors.getvalue() + end


def printed(text: str) -> Iterator[tuple[Shown, str]]:
    """Every command of a page with its present output."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "examples", folder / "examples")
        for step in steps(text):
            if isinstance(step, File):
                (folder / step.name).parent.mkdir(parents=True, exist_ok=True)
                (folder / step.name).write_text(step.content, encoding="utf-8")
            else:
                yield step, run(step.command, folder)


def rewritten(text: str) -> str:
    """The page with new output for every command whose output has changed."""
    changes = [(shown, now) for shown, now in printed(text) if not matches(shown.output, now)]
    for shown, now in reversed(changes):
        lines = [line.rstrip() for line in now.strip("\n").splitlines()]
        text = text[: shown.start] + "".join(f"{line}\n" for line in lines) + text[shown.end :]
    return text


def main(names: Sequence[str]) -> None:
    for page in [Path(name) for name in names] or pages():
        before = page.read_text(encoding="utf-8")
        after = rewritten(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"written: {page}")


if __name__ == "__main__":
    main(sys.argv[1:])
