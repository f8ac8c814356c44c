"""One call of the command line, as from a shell, and whether it ended as the documentation says."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import sys
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from addercost.cli.exit_codes import EXIT_CODES
from addercost.text import LONGEST_ERROR

DOCUMENTED = frozenset(int(code) for code in re.findall(r"\d+(?= )", EXIT_CODES)) - {70}
"""What a call may end with: a fault of ours is documented, and is what the attack looks for."""
CRASHES = ("Traceback", "something outside ended", "a fault of ours")
_ENDS = ("addercost: ", "interrupted", "terminated")
_COMMAND = re.compile(r"^\s*::|##\[|##vso\[", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ended:
    """code: as a shell would say it: 128 and the signal's number where one ended it."""

    code: int
    stdout: str
    stderr: str
    seconds: float


class Call:
    """A call that runs, in a fork of this process and in the current folder."""

    def __init__(self, arguments: Sequence[str], prepare: Callable[[], object] = lambda: None) -> None:
        self._outputs = [os.memfd_create(name) for name in ("stdout", "stderr")]
        self.began = time.monotonic()
        # Until the fork has the handler of a new interpreter, Ctrl-C would be an exception of this process.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self.pid = os.fork()
        if self.pid == 0:
            self._run(arguments, prepare)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def _run(self, arguments: Sequence[str], prepare: Callable[[], object]) -> None:
        from addercost.cli import main

        code: object = 1
        try:
            # As `addercost/__main__.py` sets it.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            for descriptor, file in zip((0, 1, 2), (os.open(os.devnull, 0), *self._outputs), strict=True):
                os.dup2(file, descriptor)
            for descriptor in self._outputs:
                os.close(descriptor)
            sys.stdin, sys.stdout, sys.stderr = (
                open(descriptor, mode, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
                for descriptor, mode, errors in (
                    (0, "r", "strict"),
                    (1, "w", "strict"),
                    (2, "w", "backslashreplace"),
                )
            )
            # The command line keeps stdout for its result only where it is the process's own.
            sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
            prepare()
            main(arguments)
        except SystemExit as end:
            code = end.code
        except BaseException as error:
            print("Traceback of", repr(error), file=sys.stderr)
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code if isinstance(code, int) else int(code is not None))

    def ended(self) -> Ended:
        status = os.waitpid(self.pid, 0)[1]
        seconds = time.monotonic() - self.began
        code = -status if status < 0 else os.waitstatus_to_exitcode(status)
        texts = []
        for descriptor in self._outputs:
            with open(descriptor, "rb") as file:  # noqa: PTH123
                file.seek(0)
                texts.append(file.read().decode("utf-8", "surrogateescape"))
        return Ended(code if code >= 0 else 128 - code, *texts, seconds)


def called(arguments: Sequence[str], prepare: Callable[[], object] = lambda: None) -> Ended:
    return Call(arguments, prepare).ended()


def fault_of(ended: Ended, arguments: Sequence[str] = ()) -> str:
    """What is wrong with how a call ended; nothing where all is as documented."""
    lines = ended.stderr.splitlines()
    shown = f"exit code {ended.code}: {' | '.join(lines[-3:])[:600]!r}"
    if ended.code not in DOCUMENTED:
        return f"no documented end, {shown}"
    if any(words in ended.stderr for words in CRASHES):
        return f"a crash, {shown}"
    if ended.code > 1:
        *before, last = lines or [""]
        # Progress, where --quiet was not given, is a line for each thing done.
        if not last.startswith(_ENDS) or not all(line.startswith("[") for line in before):
            return f"its error is not one line, {shown}"
    if any(len(line) > LONGEST_ERROR + 200 for line in lines):
        return f"a line of {max(map(len, lines))} characters, {shown}"
    for text in (ended.stderr, ended.stdout):
        if _COMMAND.search(text):
            return "it prints a command to a runner of continuous integration"
        if bad := next(
            (c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t"), ""
        ):
            return f"it prints the control character {bad!r}"
    to_stdout = {"-o", "--output"}.isdisjoint(arguments)
    if ended.code == 0 and _format_of(arguments) == "json" and to_stdout:
        try:
            json.loads(ended.stdout)
        except ValueError as error:
            return f"stdout is no JSON: {error}: {ended.stdout[:200]!r}"
    return ""


def _format_of(arguments: Sequence[str]) -> str:
    return next((b for a, b in itertools.pairwise(arguments) if a == "--format"), "")
