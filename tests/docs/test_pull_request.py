"""What the GitHub Action runs, on a repository whose second commit changes a model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "pull_request.sh"
MODEL = """
import torch
model, example_inputs = torch.nn.Linear(8, {outputs}, bias=False), torch.zeros(1, 8)
"""


def run(folder: Path, **values: str) -> subprocess.CompletedProcess[str]:
    """The script in `folder`, where `gh` writes what it is given to a file."""
    programs = folder.parent / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "addercost").write_text(f'#!/bin/sh\nexec {sys.executable} -m addercost "$@"\n')
    (programs / "gh").write_text(
        '#!/bin/sh\nwhile [ "$1" != --body-file ]; do shift; done\ncp "$2" "$COMMENT"\n'
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(SCRIPT.parents[1]),
        "COMMENT": str(folder.parent / "comment.md"),
        "SPEC": "model.py",
        "CONVENTION": "macs",
    }
    return subprocess.run(
        ["bash", str(SCRIPT)],
        cwd=folder,
        env=environment | values,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    """(folder, its first commit): a linear layer of 4 outputs becomes one of 6."""
    folder = tmp_path / "repository"
    folder.mkdir()

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    for outputs in (4, 6):
        (folder / "model.py").write_text(MODEL.format(outputs=outputs))
        git("add", "model.py")
        git("commit", "--quiet", "-m", f"{outputs} outputs")
    return folder, git("rev-parse", "HEAD~1")


@pytest.mark.exhaustive
def test_the_difference_is_a_comment(repository: tuple[Path, str], tmp_path: Path) -> None:
    folder, base = repository
    done = run(folder, BASE=base, NUMBER="1", REPOSITORY="o/r", MAX="mul=48")
    assert done.returncode == 0, done.stderr
    comment = (tmp_path / "comment.md").read_text()
    # 8 · 4 products become 8 · 6.
    assert "32" in comment and "48" in comment
    assert not list(folder.glob(".git/worktrees/*"))


@pytest.mark.exhaustive
def test_a_budget_that_is_exceeded_fails(repository: tuple[Path, str]) -> None:
    done = run(repository[0], MAX="mul=40")
    assert done.returncode == 1
    assert "::error" in done.stdout
