"""Ctrl-C before and while a command is supervised: no traceback, and one line at most."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from addercost.cli import run

IMPORTS = """
import builtins, os, runpy, signal, sys
target, usual = sys.argv.pop(1), builtins.__import__
def interrupted(name, *rest, **more):
    if name == target:
        os.kill(os.getpid(), signal.SIGINT)
    return usual(name, *rest, **more)
builtins.__import__ = interrupted
sys.argv[1:] = ["hardware", "list"]
runpy.run_module("addercost", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["addercost.cli", "addercost.supervision"])
def test_it_ends_the_process_without_a_word(module: str, tmp_path: Path) -> None:
    """By the signal, which a shell shows as 130."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, module],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        # A shell starts what runs in the background with Ctrl-C ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


@pytest.mark.parametrize("step", ["make_context", "invoke"])
def test_click_adds_no_line_to_an_interrupt(
    step: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While options are read and while a command runs: one line, and the code of an interrupt."""

    def interrupted(*args: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(click.Group, step, interrupted)
    assert run(["hardware", "list"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
