"""Times a kernel in three states of the caches: warm, with the second-level cache swept (filled with other
data), and *far*: all caches are swept, and then the same kernel runs once with other weights.

That run brings the kernel's instructions back into the caches, as the layers before it do in a network.
Without it, a linear layer of 768 to 256 features took 60 to 290 µs longer after a sweep on a Zen 3 core.

Kernels run under `torch.no_grad`, as `bench` and `validate` run layers and networks. `inference_mode` would
skip checks of autograd, which take 8 µs in a small layer of ours.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from addercost.counts.kernel_calls import KernelCall
from addercost.measure.kernel_times.replay import replay
from addercost.measure.speed.reference import ReferenceSpeed, TimedBlock

WARM_S = 1.5e-3
MOST_WARM_RUNS = 50
NEAR_RUNS, FAR_RUNS = 5, 3
LONG_S = 0.01
"""A kernel that takes longer is run half as often, since its times vary less."""

MIXED_BLOCKS = 10
"""Blocks of a kernel that is timed at all speeds. A shared machine keeps a speed for about a millisecond, so
ten blocks fall on moments of each of its speeds."""

WAIT_S = 0.3
"""How long to wait for a quiet moment for one kernel."""

NETWORK_S = 0.4
LEAST_NETWORK_RUNS = 5


@dataclass(frozen=True, slots=True)
class KernelRuns:
    """Seconds of each run of one kernel."""

    warm_s: tuple[float, ...]
    near_s: tuple[float, ...]
    far_s: tuple[float, ...]


class Sweeper:
    """Fills caches with other data by reading and writing a buffer of `n_bytes`."""

    def __init__(self, n_bytes: int) -> None:
        self._buffer = torch.ones(max(n_bytes // 4, 1))

    def __call__(self) -> None:
        self._buffer.neg_()


def timed_kernel(
    call: KernelCall,
    speed: ReferenceSpeed,
    near: Callable[[], None],
    far: Callable[[], None],
    seed: int,
    layout: torch.memory_format = torch.contiguous_format,
    all_speeds: bool = False,
) -> tuple[KernelRuns, float]:
    """(the runs of one kernel, how many times as long as when quiet a fixed reference took beside them).

    near, far: these sweep the second-level and the last-level cache. seed: for the values of tensors.
    all_speeds: the runs are spread over
    moments of any speed. Otherwise they are those of a quiet block, or of the block with the smallest factor
    where none was quiet. Raises NotReplayableError, and torch's own errors for a kernel that torch does not
    have.
    """
    run, other = (replay(call, torch.Generator().manual_seed(seed + i), layout) for i in range(2))

    def far_weights() -> None:
        far()
        other()

    with torch.no_grad(), _no_collection():
        run()
        other()
        once_s = _seconds(run)
        warm = max(3, min(MOST_WARM_RUNS, round(WARM_S / max(once_s, 1e-6))))
        fewer = 2 if once_s > LONG_S else 1

        def runs(warm: int, near_runs: int, far_runs: int) -> KernelRuns:
            run()
            return KernelRuns(
                tuple(_seconds(run) for _ in range(warm)),
                tuple(_seconds(run, near) for _ in range(near_runs)),
                tuple(_seconds(run, far_weights) for _ in range(far_runs)),
            )

        if all_speeds:
            spread = MIXED_BLOCKS // fewer
            blocks = [speed.block(lambda: runs(-(-warm // spread), 1, 1)) for _ in range(spread)]
        else:
            of_each = warm, -(-NEAR_RUNS // fewer), -(-FAR_RUNS // fewer)
            blocks = [speed.quiet_block(lambda: runs(*of_each), limit_s=WAIT_S)]
        return _joined([block.value for block in blocks]), statistics.mean(map(speed.factor, blocks))


def _joined(parts: Sequence[KernelRuns]) -> KernelRuns:
    return KernelRuns(
        tuple(seconds for part in parts for seconds in part.warm_s),
        tuple(seconds for part in parts for seconds in part.near_s),
        tuple(seconds for part in parts for seconds in part.far_s),
    )


def _seconds(run: Callable[[], Any], before: Callable[[], None] | None = None) -> float:
    if before is not None:
        before()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def timed_network(
    run: Callable[[], Any], speed: ReferenceSpeed, all_speeds: bool = False
) -> tuple[tuple[float, ...], float]:
    """(seconds of the quieter half of the runs, the machine's factor during these); of all runs with
    `all_speeds`.
    """
    blocks: list[TimedBlock[float]] = []
    with torch.no_grad(), _no_collection():
        for _ in range(3):
            run()
        start = time.perf_counter()
        while len(blocks) < LEAST_NETWORK_RUNS or time.perf_counter() - start < NETWORK_S * (1 + all_speeds):
            blocks.append(speed.block(lambda: _seconds(run)))
    if all_speeds:
        return tuple(b.value for b in blocks), statistics.mean(map(speed.factor, blocks))
    quietest = sorted(blocks, key=speed.factor)[: max(LEAST_NETWORK_RUNS // 2, len(blocks) // 2)]
    return tuple(b.value for b in quietest), statistics.median(map(speed.factor, quietest))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Turns Python's garbage collection off inside the block."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
