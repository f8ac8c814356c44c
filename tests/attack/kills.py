"""Calls killed at random moments, from the first instruction on, and finished by the same command.

Several kills follow each other in one folder; the result has to be that of a call that nothing disturbed.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.attack.attempt import Attempt, processes_of
from tests.attack.call import CRASHES, Call, Ended, called, fault_of
from tests.attack.material import BENCH, SWEEP, TRAIN

KILLS, IN_A_ROW = 100, 10
FROM_THE_START = 0.3
"""This share of the kills is of new interpreters, which are killed while they start."""
STARTS_IN_S = 1.0
LONGEST_S = 6.0
"""A signal ends a call within two seconds; a busy machine may take longer to notice. Counted in naps,
so that a machine that stops all its processes for a while does not count.
"""
NAP_S = 0.02
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Killed:
    """arguments: of the call. result: what is compared. made: the file or folder that it makes.

    ends_with_file: `made` is written when everything is done, and the same command refuses to replace it.
    """

    name: str
    arguments: Sequence[str]
    made: str
    result: Callable[[Path], Any]
    ends_with_file: bool = False


def bytes_of(path: Path) -> dict[str, str]:
    """A digest of every file, the checkpoint's by its tensors."""
    files = [path] if path.is_file() else sorted(path.iterdir())
    return {file.name: _digest(file) for file in files if not file.name.endswith(".tmp")}


def _digest(file: Path) -> str:
    if file.suffix != ".pt":
        return hashlib.sha256(file.read_bytes()).hexdigest()
    from addercost.train.checkpoint import read_checkpoint

    content = read_checkpoint(file)
    return str([(name, value.tolist()) for name, value in content["model"].items()])


def rows_of(path: Path) -> list[tuple[str, ...]]:
    """What was timed: seconds differ from run to run."""
    document = json.loads(path.read_text())
    keys = ("path", "arithmetic", "implementation", "dtype", "reference")
    return sorted(tuple(row[key] for key in keys) for row in document["rows"])


COMMANDS = (
    Killed("bench", (*BENCH, "-o", "made.json"), "made.json", rows_of, ends_with_file=True),
    Killed("sweep", (*SWEEP, "-o", "made"), "made", bytes_of),
    Killed("train", (*TRAIN, "-o", "trained", "--resume"), "trained", bytes_of),
    Killed(
        "report",
        ("report", "trace.json", "--as", "mac,adder", "-o", "made.html", "--force", "-q"),
        "made.html",
        bytes_of,
    ),
)


def attempts(inputs: Path, rng: random.Random, share: float) -> Sequence[Attempt]:
    found = []
    for command in COMMANDS:
        home = inputs.parent / f"killed {command.name}"
        fresh_inputs(inputs, home)
        whole = called(command.arguments)
        assert whole.code == 0, whole
        expected = command.result(home / command.made)
        for _ in range(max(round(KILLS * share / IN_A_ROW), 1)):
            seed = rng.random()
            found.append(
                Attempt(
                    f"{command.name} of {whole.seconds:.1f} s",
                    _killed(inputs, command, whole.seconds, expected, seed),
                    IN_A_ROW,
                    longest_s=300,
                )
            )
    rng.shuffle(found)
    return found


def _killed(
    inputs: Path, command: Killed, seconds: float, expected: Any, seed: float
) -> Callable[[Path], list[str]]:
    def run(folder: Path) -> list[str]:
        rng, faults = random.Random(seed), []
        # Benchmarks of one user wait for each other.
        os.environ["HOME"] = str(folder / "home")
        at = fresh_inputs(inputs, folder / "0")
        for number in range(IN_A_ROW):
            kind = rng.choice(SIGNALS)
            cold = rng.random() < FROM_THE_START
            moment = rng.uniform(0, STARTS_IN_S) ** 2 if cold else rng.uniform(0, 1.1 * seconds)
            # SIGKILL leaves a file half written, which goes when a later call has the folder.
            before = _half_written(at)
            ended, late = (
                _cold(command.arguments, kind, moment) if cold else _warm(command.arguments, kind, moment)
            )
            what = f"{kind.name} after {moment:.3f} s{' of a new interpreter' * cold}"
            if not (cold and _python_alone(ended)):
                faults += [
                    f"{what}: {fault}" for fault in _faults(ended, kind, late, _half_written(at) - before)
                ]
            if (
                command.name == "report"
                and (at / command.made).exists()
                and command.result(at / command.made) != expected
            ):
                faults.append(f"{what}: the page is another one")
            if ended.code == 0 or (command.ends_with_file and (at / command.made).exists()):
                faults += _finished(command, at, expected, "it was done")
                at = fresh_inputs(inputs, folder / str(number + 1))
        again = called(command.arguments)
        if fault := fault_of(again, command.arguments) or (
            "" if again.code == 0 else f"exit code {again.code}: {again.stderr}"
        ):
            faults.append(f"finishing it: {fault}")
        else:
            faults += _finished(command, at, expected, "after the kills")
        return faults

    return run


def fresh_inputs(inputs: Path, at: Path) -> Path:
    """A new folder with what `COMMANDS` take, which is the current one from then on."""
    at.mkdir()
    os.chdir(at)
    for name in ("net.py", "space.py", "trace.json"):
        (at / name).write_bytes((inputs / name).read_bytes())
    return at


def _finished(command: Killed, at: Path, expected: Any, when: str) -> list[str]:
    left = [path.name for path in at.rglob("*") if path.name.endswith((".tmp", ".journal"))]
    faults = [f"{when}: it leaves {', '.join(left)}"] if left else []
    found = command.result(at / command.made)
    if found != expected:
        shown = (
            [key for key in expected if found.get(key) != expected[key]]
            if isinstance(expected, dict)
            else found
        )
        faults.append(f"{when}: the result differs from an undisturbed one in {str(shown)[:300]}")
    return faults


def _warm(arguments: Sequence[str], kind: signal.Signals, moment: float) -> tuple[Ended, float]:
    call = Call(arguments)
    time.sleep(moment)
    os.kill(call.pid, kind)
    late = _naps_until_its_end(call.pid)
    return call.ended(), late


def _naps_until_its_end(pid: int) -> float:
    naps = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(NAP_S)
        naps += 1
    return naps * NAP_S


def _cold(arguments: Sequence[str], kind: signal.Signals, moment: float) -> tuple[Ended, float]:
    process = subprocess.Popen(
        [sys.executable, "-m", "addercost", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    time.sleep(moment)
    process.send_signal(kind)
    # What it prints fits the pipes.
    late = _naps_until_its_end(process.pid)
    out, err = process.communicate()
    code = process.returncode
    return Ended(code if code >= 0 else 128 - code, out, err, late), late


def _python_alone(ended: Ended) -> bool:
    """Whether Ctrl-C came before the first line of `addercost/__main__.py` ran. No program in Python can take
    it there: the interpreter ends, with 130 or 1 and a traceback of its own imports.
    """
    began = "__main__.py" in ended.stderr or "addercost/cli" in ended.stderr
    return ended.code in (1, 130) and not began and "KeyboardInterrupt" in ended.stderr


def _half_written(at: Path) -> set[str]:
    return {path.name for path in at.rglob("*.tmp")}


def _faults(ended: Ended, kind: signal.Signals, late: float, left: set[str]) -> list[str]:
    faults = []
    if late > LONGEST_S:
        faults.append(f"it went on for {late:.1f} s")
    if ended.code not in (0, 128 + kind):
        faults.append(f"exit code {ended.code}: {ended.stderr[-600:]!r}")
    if kind != signal.SIGKILL:
        if any(words in ended.stderr for words in CRASHES) or len(ended.stderr.splitlines()) > 1:
            faults.append(f"more than a line on stderr: {ended.stderr[-600:]!r}")
        if left:
            faults.append(f"it leaves {', '.join(sorted(left))}")
    if alive := _still_alive():
        faults.append(f"it leaves the processes {alive}")
    return faults


def _still_alive() -> list[str]:
    """Processes of this attempt's session but this one, a while after the call: the system ends orphans."""
    for _ in range(round(LONGEST_S / NAP_S)):
        alive = [each.name for each in processes_of(os.getsid(0)) if each.pid != os.getpid()]
        if not alive:
            return []
        time.sleep(NAP_S)
    return alive
