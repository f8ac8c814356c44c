"""stdout holds the result and nothing else; what cannot be printed is an error with a code."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from addercost.errors import OutputError
from addercost.results import stdout
from addercost.results.trace import trace_to_json
from addercost.trace.record import OpCall, TensorSpec, Trace

NOISY = """
import atexit, os, subprocess, threading, time, torch
print("printed at import")
os.write(1, b"descriptor at import\\n")
subprocess.run(["echo", "from a child"])
def chatter():
    while True:
        print("from a thread"); os.write(1, b"descriptor in a thread\\n"); time.sleep(0.001)
threading.Thread(target=chatter, daemon=True).start()
atexit.register(lambda: (print("printed at exit"), os.write(1, b"descriptor at exit\\n")))
class Net(torch.nn.Module):
    def forward(self, x):
        print("printed in forward"); os.write(1, b"descriptor in forward\\n")
        return x + 1
"""


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.mark.exhaustive
def test_nothing_that_a_model_prints_gets_into_the_result(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    arguments = ["profile", "noisy.py", "--input", "2x3", "--cpu", "none", "--format", "json"]
    command = [sys.executable, "-m", "addercost", *arguments]
    done = subprocess.run(command, capture_output=True, check=False, env=ENVIRONMENT, cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["totals"]["add"] == 6, "stdout is one JSON document, and 2 × 3 additions"
    for words in ("at import", "from a child", "in forward", "at exit", "in a thread"):
        assert words in done.stderr.decode(), "what a model prints goes to stderr"


@pytest.fixture(scope="module")
def saved_trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace needs no torch to be counted: a command starts in a tenth of the time."""
    x = TensorSpec((2, 3), "float32", "input")
    path = tmp_path_factory.mktemp("trace") / "trace.json"
    made = Trace("Net", (OpCall("aten.relu.default", "", {"self": x}, (x,), 0),), {"": "Net"}, {}, (x,))
    path.write_text(trace_to_json(made))
    return path


@pytest.mark.parametrize(
    ("end", "output_format"),
    [
        pytest.param("/dev/full", "table", id="full-table"),
        pytest.param("/dev/full", "json", id="full-json", marks=pytest.mark.exhaustive),
        pytest.param("&-", "table", id="closed-table", marks=pytest.mark.exhaustive),
        pytest.param("&-", "json", id="closed-json"),
    ],
)
def test_stdout_that_takes_nothing_ends_with_5(
    tmp_path: Path, saved_trace: Path, end: str, output_format: str
) -> None:
    arguments = f"profile {saved_trace} --cpu none --format {output_format} >{end}"
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m addercost {arguments}"],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        cwd=tmp_path,
    )
    assert done.returncode == 5
    assert done.stderr.startswith("addercost: cannot write to stdout: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", ">= 2x3 +-1 x2 ?"),
        ("latin-1", ">= 2×3 ±1 x² ?"),
        ("utf-8", "≥ 2×3 ±1 x² 層"),
    ],
)
def test_signs_that_the_encoding_lacks_are_written_with_others(
    encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(stdout.sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    stdout.write_stdout("≥ 2×3 ±1 x² 層")
    assert written.getvalue().decode(encoding) == shown


def test_a_process_without_stdout_has_none_to_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under pythonw: `sys.stdout` is None."""
    monkeypatch.setattr(stdout.sys, "__stdout__", None)
    monkeypatch.setattr(stdout.sys, "stdout", None)
    monkeypatch.setattr(stdout, "_claimable", True)
    stdout.claim_stdout()
    assert stdout._result is None
    with pytest.raises(OutputError, match="closed"):
        stdout.write_stdout("text")


def test_another_programs_stdout_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that calls the command line may have put a stream of its own in place of stdout."""
    own = io.StringIO()
    monkeypatch.setattr(stdout.sys, "stdout", own)
    monkeypatch.setattr(stdout, "_claimable", True)
    monkeypatch.setattr(stdout.os, "dup", lambda _: pytest.fail("stdout was taken"))
    stdout.claim_stdout()
    stdout.write_stdout("text")
    assert own.getvalue() == "text"
