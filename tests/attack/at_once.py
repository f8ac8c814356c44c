"""Several at once: calls on one folder or document, threads that profile, models that start threads."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.attack.attempt import Attempt
from tests.attack.call import Call, Ended, called, fault_of
from tests.attack.kills import COMMANDS, Killed, fresh_inputs
from tests.attack.material import NET

OTHERS = 3
"""So many calls beside the first one."""
TAKEN = "another call works on"
ROUNDS = 3
MODEL = """
import os, subprocess, sys, threading, time
import torch
from torch import nn

class Noisy(nn.Module):
    def forward(self, x):
        {forward}
        return x + 1

model = Noisy()
example_inputs = torch.zeros(2)
{file}
"""
NOISE = {
    "a thread that goes on": "threading.Thread(target=time.sleep, args=(600,)).start()",
    "a thread that prints": "threading.Thread(target=lambda: [print(1) for _ in range(999)]).start()",
    "a process that goes on": "subprocess.Popen(['sleep', '600'])",
    "output of a process": "subprocess.run(['echo', 'noise'])",
    "output of C": "os.write(1, b'noise')",
    "output at its end": "__import__('atexit').register(lambda: os.write(1, b'noise'))",
    "an end": "os._exit(0)",
    "a crash": "__import__('ctypes').string_at(0)",
    "an exit": "sys.exit(0)",
    "no output any more": "os.close(1)",
    "a loop": "[None for _ in iter(int, 1)]",
    "a recursion": "(lambda f: f(f))(lambda f: f(f))",
    "an error without words": "raise type('E', (BaseException,), {'__str__': lambda self: 1 / 0})",
    "a signal": "os.kill(os.getpid(), 15)",
    "no recursion allowed": "sys.setrecursionlimit(60)",
    "other streams": "setattr(sys, 'stdout', None); setattr(sys, 'stderr', None)",
}
"""What a model may do in its file or its forward."""


def attempts(inputs: Path, rng: random.Random, share: float) -> Sequence[Attempt]:
    found = [
        Attempt(f"{name} in the {place}", _noisy(place, statement), 1, 60)
        for name, statement in NOISE.items()
        for place in ("file", "forward")
    ]
    rng.shuffle(found)
    found = found[: max(round(len(found) * max(share, 0.2)), 1)]
    for number in range(max(round(ROUNDS * share), 1)):
        for command in COMMANDS:
            found.append(
                Attempt(
                    f"{command.name} {1 + OTHERS} times at once, {number}", _together(inputs, command), 1, 200
                )
            )
        found.append(Attempt(f"profiles in threads, {number}", _in_threads, 1, 100))
    return found


def _noisy(place: str, statement: str) -> Callable[[Path], list[str]]:
    def run(folder: Path) -> list[str]:
        (folder / "noisy.py").write_text(MODEL.format(**{"forward": "pass", "file": "", place: statement}))
        arguments = ("profile", "noisy.py:model", "--format", "json", "--timeout", "3")
        ended = called(arguments)
        if ended.code == 143 and statement == NOISE["a signal"]:
            return []
        fault = fault_of(ended, arguments)
        if not fault and ended.code not in (0, 3, 4):
            fault = f"exit code {ended.code}: {ended.stderr[-300:]!r}"
        return [fault] if fault else []

    return run


def _together(inputs: Path, command: Killed) -> Callable[[Path], list[str]]:
    """One does the work; the others wait for it or say that another call works there."""

    def run(folder: Path) -> list[str]:
        os.environ["HOME"] = str(folder / "home")
        alone = fresh_inputs(inputs, folder / "alone")
        first = called(command.arguments)
        expected = command.result(alone / command.made) if first.code == 0 else None
        at = fresh_inputs(inputs, folder / "together")
        calls = [Call(command.arguments) for _ in range(1 + OTHERS)]
        ends: list[Ended] = [call.ended() for call in calls]
        faults = [fault for ended in ends if (fault := fault_of(ended, command.arguments))]
        if not any(ended.code == 0 for ended in ends):
            faults.append(f"none of them has done the work: {[ended.stderr for ended in ends]}")
        faults += [
            f"it does not say why it was refused: {ended.stderr!r}"
            for ended in ends
            if ended.code and not (TAKEN in ended.stderr or "exists" in ended.stderr)
        ]
        if not faults and command.result(at / command.made) != expected:
            faults.append("the result is not that of one call alone")
        return faults

    return run


def _in_threads(folder: Path) -> list[str]:
    """Threads that profile their own models, some of which cannot run: each result is that of one alone."""
    import torch
    from torch import nn

    import addercost
    from addercost.errors import TraceError

    (folder / "net.py").write_text(NET)

    def totals(width: int) -> object:
        model = nn.Sequential(nn.Linear(width, 5), nn.ReLU(), nn.Linear(5 if width % 3 else 6, 2))
        try:
            return addercost.profile(model, torch.zeros(2, width)).counts.total
        except TraceError:
            return "refused"

    expected = {width: totals(width) for width in range(2, 10)}
    found: dict[int, object] = {}
    faults: list[str] = []

    def work(width: int) -> None:
        try:
            found[width] = totals(width)
        except BaseException as error:
            faults.append(f"a model of width {width}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=work, args=(width,)) for width in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return faults or ([] if found == expected else [f"in threads {found}, alone {expected}"])
