"""Measures the clock of the core that this thread runs on, by dependent additions of one cycle each."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

from addercost.hardware.this_machine import instruction_set
from addercost.hardware.vocabulary import Form
from addercost.measure.host.chains import DEPENDENT, UNROLL, Compiled, loop_ir
from addercost.measure.host.probe import Probe

ADDITIONS = {
    "x86-64": Probe(
        "int64_add", Form.SCALAR, 64, 1, "addq {y}, {d}", "i64", "addq r64, r64", accumulates=True
    ),
    "aarch64": Probe("int64_add", Form.SCALAR, 64, 1, "add {d:x}, {a:x}, {y:x}", "i64", "add x, x, x"),
}
"""A 64-bit addition that needs the previous one's result. It takes one cycle on every core of these
instruction sets.
"""

ROUNDS = 4000
TRIES = 3


def clock_hz(rounds: int = ROUNDS) -> float | None:
    """The clock in Hz from the fastest of a few runs of `rounds` rounds, since interruptions only make runs
    slower.

    None where llvmlite is missing or broken, and for an instruction set that is not in `ADDITIONS`.
    """
    loop = dependent_additions()
    if loop is None:
        return None
    best_s = min(thread_seconds(loop, rounds) for _ in range(TRIES))
    return UNROLL * rounds / best_s if best_s > 0 else None


@cache
def dependent_additions() -> Callable[[int], None] | None:
    """`loop(n)`: n rounds of `UNROLL` additions, each of which needs the previous one's result."""
    addition = ADDITIONS.get(instruction_set())
    if addition is None:
        return None
    try:
        return Compiled(loop_ir("additions", addition, DEPENDENT)).loop("additions")
    except (ImportError, RuntimeError):
        return None


def thread_seconds(loop: Callable[[int], None], rounds: int) -> float:
    """Processor time of this thread in seconds, which leaves out time during which another program had the
    core.
    """
    start = time.thread_time_ns()
    loop(rounds)
    return (time.thread_time_ns() - start) * 1e-9
