from __future__ import annotations

from pathlib import Path

import pytest

from addercost.cli import run
from tests.cli.commands import Run


@pytest.fixture
def addercost(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process and returns its stdout; asserts its exit code."""

    def call(*arguments: str | Path, exit_code: int = 0) -> str:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert code == exit_code, captured.err
        return captured.out

    return call
