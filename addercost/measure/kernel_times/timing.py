"""Times a kernel in three states of the caches: warm; *near*, with the second-level cache swept (filled with
other data); and *far*, with all caches swept. After a sweep, the same kernel runs once with other weights.

That run brings the kernel's instructions back into the caches, as the layers before it do in a network.
Without it, a linear layer of 768 to 256 features took 60 to 290 µs longer after a sweep on a Zen 3 core. On
an Ice Lake core, kernels under 20 µs took 3.4 times as long near as far, when it ran before far runs alone.

Warm runs are sampled as `bench` samples layers: two samples between two references, each the mean of as many
calls as take `SAMPLE_S`, and torch's layers as modules. A kernel that ran once before was 4 to 6 % faster
than in `bench` on an Emerald Rapids core, since the reference had used the caches.

Kernels run under `torch.no_grad`, as `bench` and `validate` run layers and networks. `inference_mode` would
skip checks of autograd, which take 8 µs in a small layer of ours.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from addercost.counts.kernel_calls import KernelCall
from addercost.measure.kernel_times.replay import layer_of_torch, replay
from addercost.measure.runner import SAMPLE_S
from addercost.measure.speed.reference import LONG_S, ReferenceSpeed, TimedBlock, enough_quiet

T = TypeVar("T")

WARM_BLOCKS = 3
NEAR_RUNS, FAR_RUNS = 5, 3
SELDOM_S = 0.01
"""A kernel that takes longer is run half as often, since its times vary less."""

TRIES = 4
"""How many times as often as wanted something is run at most, until enough of the runs are at quiet moments.
"""

NETWORK_S = 0.7
LEAST_NETWORK_RUNS = 5


@dataclass(frozen=True, slots=True)
class KernelRuns:
    """Seconds of each run of one kernel."""

    warm_s: tuple[float, ...]
    near_s: tuple[float, ...]
    far_s: tuple[float, ...]


def timed_kernel(
    call: KernelCall,
    speed: ReferenceSpeed,
    near: Callable[[], None],
    far: Callable[[], None],
    seed: int,
    layout: torch.memory_format = torch.contiguous_format,
) -> tuple[KernelRuns, float]:
    """(the runs of one kernel, how many times as long as when quiet a fixed reference took beside them).

    near, far: these sweep the second-level and the last-level cache. seed: for the values of tensors. Raises
    NotReplayableError, and torch's own errors for a kernel that torch does not have.
    """
    run, other = (replay(call, torch.Generator().manual_seed(seed + i), layout) for i in range(2))
    layer = layer_of_torch(call, layout) or run

    def swept_by(sweep: Callable[[], None]) -> Callable[[], tuple[float]]:
        def seconds() -> tuple[float]:
            sweep()
            other()
            return (_seconds(run),)

        return seconds

    with torch.no_grad(), _no_collection():
        run()
        other()
        layer()
        once_s = _seconds(run)
        calls = max(1, round(SAMPLE_S / max(once_s, 1e-9)))
        fewer = 2 if once_s > SELDOM_S else 1

        def warm_block() -> tuple[float, ...]:
            return _mean_seconds(layer, calls), _mean_seconds(layer, calls)

        runs: list[tuple[float, ...]] = []
        factors: list[float] = []
        for one, wanted in (
            (warm_block, WARM_BLOCKS),
            (swept_by(near), -(-NEAR_RUNS // fewer)),
            (swept_by(far), -(-FAR_RUNS // fewer)),
        ):
            blocks = _quietest(speed, one, wanted, once_s)
            runs.append(tuple(seconds for block in blocks for seconds in block.value))
            factors += map(speed.factor, blocks)
        return KernelRuns(*runs), statistics.median(factors)


def _quietest(
    speed: ReferenceSpeed, run: Callable[[], T], wanted: int, seconds: float
) -> list[TimedBlock[T]]:
    """The first `wanted` quiet blocks of at most `TRIES` times as many. Where these are too few, the quietest
    `wanted` of short blocks and all of long ones; see `enough_quiet`.
    """
    blocks: list[TimedBlock[T]] = []
    for _ in range(TRIES * wanted):
        blocks.append(speed.block(run))
        quiet = speed.quiet(blocks)
        if len(quiet) >= wanted and enough_quiet(len(quiet), len(blocks), seconds):
            return quiet
    return blocks if seconds > LONG_S else sorted(blocks, key=speed.factor)[:wanted]


def _mean_seconds(run: Callable[[], Any], calls: int) -> float:
    """Seconds of one call, the mean of `calls`."""
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def timed_network(run: Callable[[], Any], speed: ReferenceSpeed) -> tuple[tuple[float, ...], float]:
    """(seconds of the quiet runs, the machine's median factor during these). Where too few are quiet, those
    of all runs and the mean factor.
    """
    blocks: list[TimedBlock[float]] = []
    with torch.no_grad(), _no_collection():
        for _ in range(3):
            run()
        start = time.perf_counter()
        while len(blocks) < LEAST_NETWORK_RUNS or time.perf_counter() - start < NETWORK_S:
            blocks.append(speed.block(lambda: _seconds(run)))
    quiet = speed.quiet(blocks)
    enough = enough_quiet(len(quiet), len(blocks), statistics.median(block.value for block in blocks))
    kept = quiet if enough else blocks
    return tuple(block.value for block in kept), speed.typical_factor(kept, enough)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Turns Python's garbage collection off inside the block."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
