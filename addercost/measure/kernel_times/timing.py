"""Times kernels twice: warm, again and again; and cold, as in a network, where the caches hold other layers."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from addercost.counts.kernel_calls import KernelCall
from addercost.measure.kernel_times.replay import Replay, replay
from addercost.measure.speed.reference import Block, ReferenceSpeed

WARM_BLOCK_S = 3e-3
COLD_RUNS = 7
MOST_RUNS = 200


@dataclass(frozen=True, slots=True)
class Runs:
    """Seconds of each run of one kernel."""

    warm_s: tuple[float, ...]
    cold_s: tuple[float, ...]


class Sweeper:
    """Fills the caches with other data: reads and writes a buffer of `n_bytes`."""

    def __init__(self, n_bytes: int) -> None:
        self._buffer = torch.ones(max(n_bytes // 4, 1))

    def __call__(self) -> None:
        self._buffer.neg_()


def timed(call: KernelCall, sweep: Callable[[], None], seed: int = 0) -> Callable[[], Runs]:
    """A block of runs of one kernel: what it returns has the seconds of each."""
    made = replay(call, torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        made.run()
        start = time.perf_counter()
        made.run()
        once_s = max(time.perf_counter() - start, 1e-6)
    runs = max(3, min(MOST_RUNS, round(WARM_BLOCK_S / once_s)))
    return lambda: Runs(_warm(made, runs), _cold(made, sweep, once_s))


def _warm(made: Replay, runs: int) -> tuple[float, ...]:
    now, run = time.perf_counter, made.run
    found = []
    with torch.inference_mode():
        run()
        for _ in range(runs):
            start = now()
            run()
            found.append(now() - start)
    return tuple(found)


def _cold(made: Replay, sweep: Callable[[], None], once_s: float) -> tuple[float, ...]:
    """Before each run the caches are swept and its inputs are written, as the layer before would have done."""
    now, run = time.perf_counter, made.run
    found = []
    written = [(x, x.clone()) for x in made.inputs]
    with torch.inference_mode():
        for _ in range(COLD_RUNS if once_s < 0.02 else 3):
            sweep()
            for x, values in written:
                x.copy_(values)
            start = now()
            run()
            found.append(now() - start)
    return tuple(found)


def quiet_runs(call: KernelCall, speed: ReferenceSpeed, sweep: Callable[[], None]) -> Block[Runs]:
    """The runs of one kernel in a quiet block, or in the quietest that there was."""
    gc.disable()
    try:
        return speed.quiet_block(timed(call, sweep), limit_s=0.5)
    finally:
        gc.enable()
