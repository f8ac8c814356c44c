"""Bad input: one clear line on stderr, the documented exit code, no traceback, no half-written file.

Needs torch, except where the case fails before it is imported.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from addercost.cli import run
from addercost.results.files import write_file

MODEL = "from torch import nn\n"
CONV = MODEL + "model = nn.Conv2d(3, 8, 3)"
GPU = MODEL + ("class Gpu(nn.Module):\n    def forward(self, x): return x.to('cuda') + 1\nmodel = Gpu()")
CASES: dict[str, tuple[str | bytes | None, list[str], int, str]] = {
    # id: (text of model.py or None for no file, arguments, exit code, words on stderr)
    "file missing": (None, ["model.py"], 3, "does not exist"),
    "a folder": (None, ["folder.py"], 3, "is a folder"),
    "no such module": (None, ["no.such.module"], 3, "no file and no module"),
    "not a spec": (None, ["what is this"], 2, "is not a model"),
    "syntax error": ("def (", ["model.py"], 3, "SyntaxError at line 1"),
    "not Python": (bytes(range(256)), ["model.py"], 3, "model.py"),
    "raises on import": ("raise ValueError('boom\\nboom')", ["model.py"], 3, "boom boom"),
    "exits on import": ("import sys; sys.exit(3)", ["model.py"], 3, "__main__"),
    "raises outside Exception": (
        "raise BaseException('deep')",
        ["model.py"],
        3,
        "raised BaseException at model.py:1: deep",
    ),
    "an error without words": (
        "class E(Exception):\n    def __str__(self): raise self\nraise E",
        ["model.py"],
        3,
        "model.py raised E at model.py:3",
    ),
    "exits in its forward": (
        MODEL + "import sys\nclass Bad(nn.Module):\n    def forward(self, x): sys.exit(3)",
        ["model.py", "--input", "1"],
        4,
        "the model ended the program: SystemExit 3",
    ),
    "forward raises outside Exception": (
        MODEL + "class Bad(nn.Module):\n    def forward(self, x): raise BaseException('deep')",
        ["model.py", "--input", "1"],
        4,
        "the model ended the program: BaseException deep",
    ),
    "forward raises an error without words": (
        MODEL
        + "class E(Exception):\n    def __str__(self): raise self\n"
        + "class Bad(nn.Module):\n    def forward(self, x): raise E\nmodel = Bad()",
        ["model.py", "--input", "1"],
        4,
        "its forward, given 1, raised E: E",
    ),
    "imports what is missing": ("import no_such_package", ["model.py"], 3, "install no_such_package"),
    "no model": ("x = 1", ["model.py"], 3, "no model in"),
    "two candidates": (
        MODEL + "class A(nn.Module): pass\nclass B(nn.Module): pass",
        ["model.py"],
        3,
        "A, B",
    ),
    "constructor needs arguments": (
        MODEL + "class A(nn.Module):\n    def __init__(self, width): super().__init__()",
        ["model.py"],
        3,
        "A needs width",
    ),
    "name is not there": (MODEL + "class Net(nn.Module): pass", ["model.py:Nut"], 3, "did you mean Net"),
    "name is not a model": (MODEL + "model = 3\nx = 4", ["model.py:x"], 3, "is a int, not a model"),
    "factory returns something else": ("def build(): return 3", ["model.py"], 3, "not an nn.Module"),
    "train() is not a factory": ("def train(): raise SystemError", ["model.py"], 3, "no model in"),
    "no input": (CONV, ["model.py"], 2, "1x3xHxW"),
    "example_inputs is a number": (
        MODEL + "model = nn.ReLU()\nexample_inputs = 3",
        ["model.py"],
        3,
        "example_inputs",
    ),
    "wrong rank": (CONV, ["model.py", "--input", "3x9"], 4, "Expected 3D"),
    "wrong channels": (CONV, ["model.py", "--input", "1x4x9x9"], 4, "its forward, given 1x4x9x9, raised"),
    "wrong dtype": (CONV, ["model.py", "--input", "1x3x9x9:int64"], 4, "type"),
    "forward raises": (
        MODEL
        + "class Bad(nn.Module):\n    def forward(self, x): raise KeyError('why')\n"
        + "model = nn.Sequential(nn.ReLU(), nn.Sequential(Bad()))",
        ["model.py", "--input", "1"],
        4,
        "layer 1.0, given 1, raised KeyError: 'why'",
    ),
    "wrong device": (
        GPU,
        ["model.py", "--input", "1"],
        4,
        "cuda",
    ),
    "unknown dtype": (MODEL + "model = nn.ReLU()", ["model.py", "--input", "1:floot32"], 2, "float32"),
    "not a shape": (MODEL + "model = nn.ReLU()", ["model.py", "--input", "1xa"], 2, "1x3x224x224"),
    "huge shape": (MODEL + "model = nn.ReLU()", ["model.py", "--input", "9" * 30], 2, "elements"),
    "input twice": (CONV, ["model.py", "--input", "input=1", "--input", "input=2"], 2, "twice"),
    "unknown zoo model": (None, ["zoo:lenet5"], 2, "did you mean lenet5-bn"),
    "unknown arithmetic": (None, ["zoo:lenet5-bn:ader"], 2, "did you mean adder"),
    "unknown CPU": (None, ["zoo:lenet5-bn", "--cpu", "via-nano"], 2, "did you mean via-nano-"),
    "unknown convention": (None, ["zoo:lenet5-bn", "--convention", "mac"], 2, "did you mean macs"),
    "unknown column": (None, ["zoo:lenet5-bn", "--sort", "mull"], 2, "did you mean mul"),
    "unknown option": (None, ["zoo:lenet5-bn", "--nope"], 2, "--nope"),
    "no spec": (None, [], 2, "SPEC"),
    "an arithmetic left open": (None, ["zoo:lenet5-bn:"], 2, "unknown arithmetic ''"),
    "a memory without its table": (None, ["zoo:lenet5-bn", "--memory", "dram"], 2, "give --energy too"),
    "an accumulator without a table": (
        None, ["zoo:lenet5-bn", "--accumulator", "int8"], 2, "give --energy too",
    ),
    "5,000 digits": (CONV, ["model.py", "--input", "9" * 5000], 2, "more elements than torch can address"),
    "a limit that is no number": (CONV, ["model.py", "--timeout", "nan"], 2, "not a finite number"),
    "a module name too long": (None, ["x" * 300], 3, "no file and no module is called"),
    "a file name too long": (None, ["x" * 300 + ".py"], 2, "file name too long"),
    "a trace name too long": (None, ["x" * 300 + ".json"], 6, "file name too long"),
    "output name too long": (None, ["zoo:lenet5-bn", "-o", "x" * 300], 5, "file name too long"),
    "takes too long to load": (
        "import time; time.sleep(60)", ["model.py", "--timeout", "0.2"], 3, "takes longer than 0.2 s to load",
    ),
    "takes too long to run": (
        MODEL + "class Bad(nn.Module):\n    def forward(self, x):\n        while True: pass",
        ["model.py", "--input", "1", "--timeout", "0.2"],
        4,
        "the forward of model.py takes longer than 0.2 s; --timeout SECONDS",
    ),
    "output folder missing": (None, ["zoo:lenet5-bn", "-o", "nowhere/out.csv"], 5, "mkdir -p"),
    "output is a folder": (None, ["zoo:lenet5-bn", "-o", "folder.py"], 5, "is a folder"),
    "output exists": ("x = 1", ["zoo:lenet5-bn", "-o", "model.py"], 5, "--force"),
    "trace exists": ("x = 1", ["zoo:lenet5-bn", "--save-trace", "model.py"], 5, "--force"),
    "read-only file system": (None, ["zoo:lenet5-bn", "-o", "/proc/addercost.csv"], 5, "/proc"),
    "trace missing": (None, ["trace.json"], 6, "does not exist"),
    "exported program missing": (None, ["program.pt2"], 3, "does not exist"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "arguments", "exit_code", "words"), CASES.values(), ids=CASES)
def test_one_line_and_a_code(
    text: str | bytes | None,
    arguments: list[str],
    exit_code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.py").mkdir()
    if text is not None:
        (tmp_path / "model.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.name != "__pycache__"}
    code = run(["profile", *arguments])
    captured = capsys.readouterr()
    assert code == exit_code, captured.err
    assert words.lower() in captured.err.lower()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1 and "Traceback" not in captured.err
    after = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.name != "__pycache__"}
    assert after == before


@pytest.mark.parametrize(
    ("document", "words"),
    [
        pytest.param("{", "not JSON", id="cut off"),
        pytest.param(
            json.dumps({"schema": "addercost/trace/99"}), "this version reads", id="another version"
        ),
        pytest.param(
            json.dumps({"schema": "addercost/profile/1"}),
            "model is missing: expected text",
            id="an empty profile",
        ),
    ],
)
def test_a_bad_trace(document: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "trace.json"
    file.write_text(document)
    assert run(["profile", str(file)]) == 6
    assert words in capsys.readouterr().err


def test_a_bad_exported_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "program.pt2"
    file.write_bytes(b"not an archive")
    assert run(["profile", str(file)]) == 6
    assert "not an exported program" in capsys.readouterr().err


def test_hostile_names_stay_on_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Terminal escapes and line breaks from a model are shown, not obeyed."""
    file = tmp_path / "model.py"
    file.write_text(
        "import torch\nfrom torch import nn\nmodel = nn.Sequential()\n"
        "model.add_module('a\\x1b[2J\\nb', nn.ReLU())\nexample_inputs = torch.empty(1)\n"
    )
    assert run(["profile", str(file)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "a\\x1b[2J\\nb" in out
    assert run(["profile", str(file), "--format", "markdown"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_prints_of_the_model_do_not_spoil_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "model.py"
    file.write_text(
        "import torch\nfrom torch import nn\nprint('loading')\n"
        "class Loud(nn.Module):\n    def forward(self, x):\n        print('running')\n        return x + 1\n"
        "example_inputs = torch.empty(1)\n"
    )
    assert run(["profile", str(file), "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["model"] == "model"
    assert "loading" in captured.err and "running" in captured.err


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    from addercost.errors import OutputError

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_file(tmp_path / "out.json", "text")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.exhaustive
def test_a_full_stdout() -> None:
    command = f"{sys.executable} -m addercost hardware list > /dev/full"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 5 and "No space left" in done.stderr and "Traceback" not in done.stderr


def test_debug_shows_the_traceback() -> None:
    from addercost.errors import ModelError

    with pytest.raises(ModelError):
        run(["profile", "missing.py", "--debug"])


# tests/test_supervision.py sends the same signals to calls that start no torch.
@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        pytest.param(signal.SIGINT, 130, "interrupted", id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, "terminated", id="SIGTERM"),
    ],
)
def test_a_signal_while_a_model_loads(number: int, code: int, line: str, tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text("import time\nopen('started', 'w').close()\ntime.sleep(600)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "addercost", "profile", str(file), "--save-trace", str(tmp_path / "t.json")],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        # A shell starts what runs in the background with Ctrl-C ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 300
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == code
    assert stderr.strip() == line
    assert not (tmp_path / "t.json").exists()
