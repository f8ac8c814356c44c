"""The program as a process of its own: its help, a checkout, a reader that stops early."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "addercost", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_help_fits_one_screen_and_names_the_first_commands_first() -> None:
    done = process("--help", COLUMNS="80")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) <= 50
    commands = [line.split()[0] for line in lines if line.startswith("  ") and "  " in line.strip()]
    assert [c for c in commands if not c.startswith("-")][:3] == ["profile", "compare", "reproduce"]


@pytest.mark.parametrize("group", ["", "bench", "hardware", "reproduce", "sweep"])
def test_lists_of_commands_hold_whole_sentences(group: str) -> None:
    """click ends a line that does not fit in three dots."""
    lines = process(*group.split(), "--help", COLUMNS="80").stdout.splitlines()
    assert lines and not [line for line in lines[1:] if line.endswith("...")]


def test_a_checkout_runs_without_being_installed(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "cli.py"
    done = subprocess.run(
        [sys.executable, str(script), "--version"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.startswith("addercost")


def test_a_reader_that_stops_early_is_no_error() -> None:
    command = f"{sys.executable} -m addercost hardware list | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False
    )
    assert done.stderr == "" and done.returncode == 0
