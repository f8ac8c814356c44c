"""Runs a command in its own process, which is killed with all processes that it started when its time is
over.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Ended:
    """The end of a command. code: its exit code, None where its time was over. last_line: the last printed
    line, "" where nothing was printed.
    """

    code: int | None
    took_s: float
    last_line: str


def run_limited(
    command: Sequence[str],
    limit_s: float,
    output: BinaryIO,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    grace_s: float = 0.0,
) -> Ended:
    """Runs the command for at most `limit_s`.

    output: a file, open for writing and reading, for what the command prints. grace_s: how long before the
    limit the command is interrupted, so that it can end by itself; half of the limit at most."""
    start = time.monotonic()
    process = subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    code, grace_s = None, min(grace_s, limit_s / 2)
    try:
        code = process.wait(limit_s - grace_s)
    except subprocess.TimeoutExpired:
        if grace_s:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace_s)
    finally:
        # Processes that it started, such as a compiler, would disturb the next timing. An interrupt at the
        # terminal does not reach them.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    took_s = time.monotonic() - start
    output.seek(0)
    lines = [line for line in output.read().decode(errors="replace").splitlines() if line.strip()]
    return Ended(code, took_s, lines[-1] if lines else "")
