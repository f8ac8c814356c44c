"""The reference: a fixed piece of work that shows the machine's speed. It is a few products of two small
matrices in torch, and many calls of an operator on eight numbers.

Products keep the multiply-add units busy and read their operands from the caches of one core. So they take
longer when the clock is lower, when another program has the core, and when another thread shares the core's
units. Calls run Python and torch's dispatcher: much code, many branches. On an Ice Lake guest the time of
products alone explained 1 to 19 % of how the times of three networks varied within a minute (R² of the
logarithms), and the time of calls 48 to 59 %.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from addercost.hardware.this_machine import processor_id
from addercost.measure.speed.quiet_times import keep_quiet_time, quiet_times_file, read_quiet_times
from addercost.measure.speed.reference import ReferenceSpeed

SIZE = 128
"""Rows for each thread, and columns. The three matrices take 192 KiB, which fit into the second-level
cache.
"""

PRODUCTS, CALLS = 2, 40
"""How many products and calls one reference has: they take a fourth of a millisecond on a slow core."""

FIRST_CALLS = 10
"""How many calls run before those that are timed. The first ones find torch's code out of the caches."""

PAUSE_S, WARM_UP_S = 1e-3, 1e-3
"""A core is slow for a while after a pause, so products run for WARM_UP_S after a pause longer than PAUSE_S.
On a shared Zen 3, references after a pause of 2 ms took 1.1 to 2.4 times as long as the shortest in 99 of 100
cases; those without a pause did so in 60 of 100.
"""


def open_reference_speed(
    clock_ns: Callable[[], int] = time.perf_counter_ns, path: Path | None = None, accepts_noise: bool = False
) -> ReferenceSpeed:
    """The reference of this machine, with as many threads as torch uses now.

    clock_ns: the clock that times the reference. A wall clock counts time that other programs take. A clock
    of processor time does not, and suits samples that do not count it either. path: the file of quiet times.
    accepts_noise: as for `ReferenceSpeed`. Raises DataError for a damaged file, OutputError where it cannot
    be written.
    """
    path = path or quiet_times_file()
    machine = machine_key(torch.get_num_threads())
    return ReferenceSpeed(
        _products_and_calls(clock_ns),
        read_quiet_times(path).seconds.get(machine),
        partial(keep_quiet_time, path, machine),
        accepts_noise=accepts_noise,
    )


def machine_key(threads: int) -> str:
    """A text of everything on which the reference's time on a quiet machine depends."""
    return f"{processor_id()}, {threads} thread{'s' * (threads > 1)}, torch {torch.__version__}, calls"


def _products_and_calls(clock_ns: Callable[[], int]) -> Callable[[], float]:
    """Makes the reference: a function that returns the seconds of `PRODUCTS` products and `CALLS` calls. One
    product and a few calls run before it and fill the caches; after a pause, they do so for `WARM_UP_S`.
    """
    generator = torch.Generator().manual_seed(0)
    rows = SIZE * torch.get_num_threads()
    a = torch.rand(rows, SIZE, generator=generator)
    b = torch.rand(SIZE, SIZE, generator=generator)
    out, numbers = torch.empty(rows, SIZE), torch.zeros(8)

    ended = -math.inf

    def work(products: int, calls: int) -> None:
        for _ in range(products):
            torch.mm(a, b, out=out)
        for _ in range(calls):
            numbers.add_(1.0)

    def seconds() -> float:
        nonlocal ended
        with torch.inference_mode():
            work(1, FIRST_CALLS)
            if (now := time.perf_counter()) - ended > PAUSE_S:
                while time.perf_counter() < now + WARM_UP_S:
                    work(1, FIRST_CALLS)
            start = clock_ns()
            work(PRODUCTS, CALLS)
            found = (clock_ns() - start) * 1e-9
            ended = time.perf_counter()
            return found

    return seconds
