"""Two threads against one: our adder kernel and torch's convolution on the ResNet layers, batch 1 and 8.

    python -m benchmarks.threads --save

writes benchmarks/results/<processor>/threads.txt. A figure is the time on one thread / the time on two, in
the median of the rounds. `after relu` is the adder kernel called right after an operator of torch on two
threads, as in a network: threads of a kernel's own would share the cores with torch's, which wait for work
there. OMP_WAIT_POLICY says how they wait (active: they keep a core busy), and each policy is tried in another
process.

The first line says what the two cores can do at most: the rate of the bare adder loop, which reads no memory
and calls no library, on two threads together / on one. A virtual machine's two cores may be two threads of
one.

Its host may also give it only one core for seconds. So a fixed hash runs before and after each round, alone
and on two threads at once. A round counts where both times the two hashes took less than 2 / 1.8 times as
long as the one. A case is tried again until enough rounds count, at most `TRIES` times. Its line says how
many do not, and it is not scored where none counts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from addercost.kernels.cpu.dense import convolution as dense
from addercost.kernels.cpu.dense.tuned import schedules_folder
from addercost.measure.devices.process_memory import keep_freed_memory
from addercost.measure.host.loop_rate import loop_sites_per_second
from addercost.results.files import write_file
from benchmarks.kernel_layers import RESNET, Layer
from benchmarks.kernels import CORES, RESULTS, environment

WANTED = 1.8
BARE_SECONDS = 0.2
HASH_ITERATIONS = 20_000
TRIES = 8
SETTLED_S = 0.05
"""Torch's threads may wait for work on a core for milliseconds, so the hashes wait longer."""
POLICIES = ("", "active", "passive")
Case = tuple[Layer, bool]
ALL: list[Case] = [
    (replace(layer, batch=batch), channels_last)
    for batch in (1, 8)
    for channels_last in (True, False)
    for layer in RESNET
    if layer.batch == 1
]
FEW: list[Case] = [(layer, True) for layer in CORES]


def seconds(call: Callable[[], object], before: Callable[[], object]) -> float:
    """Seconds of the fastest of three calls, after one to warm up. before: a function that runs before each
    call.
    """
    times = []
    for _ in range(4):
        before()
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times[1:])


@dataclass(frozen=True)
class Speedups:
    """How many times as fast each contender is on two threads as on one, empty where no round counts.
    dropped: the rounds that do not count.
    """

    ratios: dict[str, float]
    dropped: int


def speedups(layer: Layer, channels_last: bool, rounds: int) -> Speedups:
    x, w = torch.randn(layer.input_shape), torch.randn(layer.weight_shape)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    image = torch.randn(1 << 20)
    calls: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "adder": (lambda: dense.convolve("adder", x, w, layer.geometry), lambda: None),
        "adder after relu": (lambda: dense.convolve("adder", x, w, layer.geometry), image.relu),
        "torch conv2d": (lambda: F.conv2d(x, w, None, layer.stride, layer.padding), lambda: None),
    }
    ratios: dict[str, list[float]] = {name: [] for name in calls}
    dropped, given = 0, cores_given()
    while len(ratios["adder"]) < rounds and len(ratios["adder"]) + dropped < TRIES:
        took: dict[tuple[str, int], float] = {}
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for name, (call, before) in calls.items():
                took[name, threads] = seconds(call, before)
        before_round, given = given, cores_given()
        if min(before_round, given) < WANTED:
            dropped += 1
            continue
        for name in calls:
            ratios[name].append(took[name, 1] / took[name, 2])
    return Speedups({name: statistics.median(found) for name, found in ratios.items() if found}, dropped)


def cores_given() -> float:
    """How many cores this process gets now: 2 · seconds of a hash alone / seconds of two at once. It is not
    measured where torch's threads keep a core busy for good.
    """
    if os.environ.get("OMP_WAIT_POLICY") == "active":
        return 2.0
    time.sleep(SETTLED_S)
    start = time.perf_counter()
    _hash(0)
    alone_s, start = time.perf_counter() - start, time.perf_counter()
    list(_POOL.map(_hash, range(2)))
    return 2 * alone_s / (time.perf_counter() - start)


def _hash(number: int) -> None:
    """Computes in registers, without the interpreter's lock."""
    hashlib.pbkdf2_hmac("sha256", b"password", bytes([number]), HASH_ITERATIONS)


_POOL = ThreadPoolExecutor(2)


def two_cores(rounds: int) -> str:
    """How many times as fast two threads run the bare loop as one."""
    ratios = []
    for _ in range(rounds):
        alone = loop_sites_per_second("adder", BARE_SECONDS)
        both = _POOL.map(lambda _: loop_sites_per_second("adder", BARE_SECONDS), range(2))
        ratios.append(sum(both) / alone)
    return (
        f"  bare adder loop: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        f" in {rounds} rounds"
    )


def table(cases: list[Case], rounds: int) -> list[str]:
    """A line for each case, and the number of cases that reach the target."""
    lines, found = [], []
    for layer, channels_last in cases:
        row = speedups(layer, channels_last, rounds)
        found.append(row)
        name = f"{layer.name} ({'nhwc' if channels_last else 'nchw'}), batch {layer.batch}"
        figures = [f"{each} {ratio:.2f}" for each, ratio in row.ratios.items()] or ["never two cores"]
        dropped = [f"({row.dropped} rounds dropped)"] * (row.dropped > 0)
        lines.append(f"  {name:44}" + "  ".join([*figures, *dropped]))
    scored = [row.ratios for row in found if row.ratios]
    for name in scored[0] if scored else ():
        values = [ratios[name] for ratios in scored]
        reached = sum(value >= WANTED for value in values)
        lines.append(f"  {name}: {reached} of {len(values)} at least {WANTED}, worst {min(values):.2f}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--few", action="store_true", help="four layers, in this process alone")
    parser.add_argument("--save", action="store_true", help="also into the folder of this processor")
    options = parser.parse_args()
    keep_freed_memory()
    if options.few:
        print("\n".join(table(FEW, options.rounds)))
        return
    waiting = os.environ.get("OMP_WAIT_POLICY", "not set")
    heading = environment() | {"threads": 2, "OMP_WAIT_POLICY": waiting}
    lines = [json.dumps(heading), two_cores(20), *table(ALL, options.rounds)]
    for policy in POLICIES:
        chosen = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        if policy:
            chosen["OMP_WAIT_POLICY"] = policy
        command = [sys.executable, "-m", "benchmarks.threads", "--few", "--rounds", str(options.rounds)]
        made = subprocess.run(command, env=chosen, check=True, capture_output=True, text=True)
        lines += [f"\nOMP_WAIT_POLICY {policy or 'not set'}", made.stdout.rstrip()]
    print("\n".join(lines))
    if options.save:
        write_file(RESULTS / schedules_folder().name / "threads.txt", "\n".join(lines) + "\n", force=True)


if __name__ == "__main__":
    main()
