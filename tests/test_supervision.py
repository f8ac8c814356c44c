"""Whatever the work of a command does to its process: a line, a documented exit code, and nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
HEAD = """
import ctypes, os, signal, subprocess, sys, threading, time
from pathlib import Path
from addercost.cli import _run_to_the_end
from addercost.supervision import note, supervised
def wait():
    Path("started").touch()
    time.sleep(600)
def stubborn():
    # A signal may come as soon as the file is there, so the file is made where signals are caught.
    while True:
        try: wait()
        except BaseException: pass
def work():
{work}
sys.exit(supervised(work))
"""
HOLDS_THE_INTERPRETER = "import re; Path('started').touch(); re.match('(a*)*b', 'a' * 60)"

DELETES = "type('D', (), {'__del__': lambda self: wait()})(); time.sleep(600)"
LIBRARY = """
import ctypes, os, pathlib, time
pathlib.Path("started").touch()
try: time.sleep(600)
except BaseException: os.write(2, b"terminate called"); ctypes.CDLL(None).abort()
"""
"""Torch's C++ code ends the process so where Python raises within it."""
IMPORTS = f"Path('library.py').write_text({LIBRARY!r}); sys.path.insert(0, ''); import library"
FAILS_AT_EXIT = "import atexit; atexit.register(lambda: 1 / 0); wait()"
FAILS_IN_A_THREAD = """def fail():
        import addercost.supervision as s
        while not s.received(): time.sleep(0.001)
        1 / 0
    threading.Thread(target=fail).start(); wait()"""
ANOTHER_ERROR = "try: wait()\n    except BaseException: raise ImportError('not twice')"


def started(work: str, folder: Path) -> subprocess.Popen[str]:
    """A supervised process whose work is these statements."""
    text = HEAD.format(work="\n".join(f"    {line}" for line in work.split("\n")))
    return subprocess.Popen(
        [sys.executable, "-c", text],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what runs in the background with Ctrl-C ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def running(work: str, folder: Path) -> subprocess.Popen[str]:
    """The same, once the work has made the file `started`."""
    process = started(work, folder)
    deadline = time.monotonic() + 60
    while not (folder / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


def finished(work: str, folder: Path) -> tuple[int, str]:
    process = started(work, folder)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    """Whether the process ends, once it was killed: a busy machine takes its time."""
    deadline = time.monotonic() + 60
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


@pytest.mark.parametrize(
    ("work", "code", "line"),
    [
        pytest.param("return 5", 5, "", id="its own exit code"),
        pytest.param(
            "note('load'); os._exit(7)", 3, "the model ended the program: it exited with 7", id="load"
        ),
        pytest.param(
            "note('run'); os._exit(0)", 4, "the model ended the program: it exited with 0", id="run"
        ),
        pytest.param("note('run'); ctypes.string_at(0)", 4, "SIGSEGV killed it", id="a crash"),
        pytest.param(
            "note('run'); os.kill(os.getpid(), 9)", 4, "SIGKILL killed it (out of memory?)", id="killed"
        ),
        pytest.param("note('limit', '0.1 4 too long'); stubborn()", 4, "addercost: too long", id="a limit"),
        pytest.param(
            "note('limit', '0.1 4 x'); note('limit', '0 0 '); time.sleep(0.3); return 6", 6, "", id="lifted"
        ),
        pytest.param("os.close(1); os.fork(); return 5", 5, "", id="a fork"),
    ],
)
def test_every_end_is_a_line_and_a_code(work: str, code: int, line: str, tmp_path: Path) -> None:
    found, stderr = finished(work, tmp_path)
    assert (found, len(stderr.splitlines())) == (code, 1 if line else 0), stderr
    assert line in stderr


def test_a_thread_that_goes_on_does_not_keep_the_call(tmp_path: Path) -> None:
    code, stderr = finished("threading.Thread(target=time.sleep, args=(600,)).start(); return 0", tmp_path)
    assert (code, stderr) == (0, "")


WORK = {
    "obeys": "wait()",
    "catches": "stubborn()",
    "holds the interpreter": HOLDS_THE_INTERPRETER,
    "raises another error": ANOTHER_ERROR,
    "deletes an object": DELETES,
    "imports a library": IMPORTS,
    "fails at its exit": FAILS_AT_EXIT,
    "fails in a thread": FAILS_IN_A_THREAD,
}


SIGNALS = pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="SIGINT"),
        pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.exhaustive),
    ],
)


# `make test` sends the two signals in turns.
@pytest.mark.parametrize(
    ("work", "number"),
    [
        pytest.param(
            work,
            number,
            id=f"{name}-{number.name}",
            marks=pytest.mark.exhaustive if (place + (number is signal.SIGTERM)) % 2 else (),
        )
        for place, (name, work) in enumerate(WORK.items())
        for number in (signal.SIGINT, signal.SIGTERM)
    ],
)
def test_a_signal_ends_the_call(number: int, work: str, tmp_path: Path) -> None:
    """By the child itself, or by its parent where the child does not listen."""
    body = f"def body(*_, **__):\n    {work}\nfrom addercost.cli.group import cli\ncli.main = body\n"
    process = running(f"{body}return _run_to_the_end([])", tmp_path)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    words = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
    assert (process.returncode, stderr) == (128 + number, f"{words[signal.Signals(number)]}\n")


@SIGNALS
def test_a_signal_waits_for_what_must_not_be_cut_off(number: int, tmp_path: Path) -> None:
    work = f"""from addercost.supervision import signals_wait
with signals_wait():
    os.kill(os.getpid(), {int(number)}); time.sleep(0); Path("done").touch()
Path("after").touch()"""
    code, _ = finished(work, tmp_path)
    assert (code, sorted(path.name for path in tmp_path.iterdir())) == (128 + number, ["done"])


def run_to_its_end(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@SIGNALS
def test_a_signal_before_the_work_begins_ends_the_call(number: int, tmp_path: Path) -> None:
    """It comes while the child has signals blocked, and is raised as soon as it takes them."""
    late = (
        "usual = signal.pthread_sigmask\n"
        "def late(how, signals):\n"
        "    if how == signal.SIG_UNBLOCK and os.getpid() != parent:\n"
        f"        os.kill(os.getpid(), {number})\n"
        "    return usual(how, signals)\n"
        "parent, signal.pthread_sigmask = os.getpid(), late\n"
    )
    text = HEAD.format(work="    wait()").replace("def wait():", f"{late}def wait():")
    done = run_to_its_end(text, tmp_path)
    word = "interrupted" if number == signal.SIGINT else "terminated"
    assert (done.returncode, done.stderr) == (128 + number, f"{word}\n")


@SIGNALS
def test_a_signal_after_the_work_changes_nothing(number: int, tmp_path: Path) -> None:
    """It comes while the child says how its work ended."""
    text = (
        "import os, sys, addercost.supervision as supervision\n"
        "def noted(kind, text, note=supervision.note):\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        "    note(kind, text)\n"
        "supervision.note = noted\n"
        "sys.exit(supervision.supervised(lambda: 0))\n"
    )
    done = run_to_its_end(text, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_killed_call_began_is_gone(tmp_path: Path) -> None:
    """A program that the model started, and a file that was half written."""
    work = (
        "child = subprocess.Popen(['sleep', '600'])\n"
        "Path('half').touch()\n"
        "note('temporary', Path('half').absolute())\n"
        "Path('pid').write_text(str(child.pid))\n"
        "stubborn()"
    )
    process = running(work, tmp_path)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert ends(int((tmp_path / "pid").read_text()))
    assert not (tmp_path / "half").exists()


def test_the_work_ends_with_its_parent(tmp_path: Path) -> None:
    process = running("Path('pid').write_text(str(os.getpid())); stubborn()", tmp_path)
    pid = int((tmp_path / "pid").read_text())
    assert alive(pid)
    process.kill()
    process.communicate(timeout=60)
    assert ends(pid)


def test_what_libraries_print_while_the_process_ends_is_dropped(tmp_path: Path) -> None:
    process = started(
        "import atexit; atexit.register(lambda: os.write(2, b'leaked 28 instances')); "
        "print('said', file=sys.stderr); return 3",
        tmp_path,
    )
    assert process.communicate(timeout=60) == ("", "said\n")
    assert process.returncode == 3
