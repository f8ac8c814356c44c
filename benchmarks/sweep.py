"""How fast a sweep is, against limits: `python benchmarks/sweep.py [nasbench201] [costing] [dask] [memory]
[reuse]`.

nasbench201  all 15,625 cells × 10 processors × 4 batch sizes on two workers: under 60 s and 1.5 GiB
costing      10⁶ traced architectures × 100 processors, as arrays: under 10 s
dask         two workers against one: at least 1.7 ×
memory       four times the architectures in the same memory
reuse        blocks traced once against every block traced, for a stack of 126 equal layers and the cells

Each prints one line with its figure, its limit and whether it is met; the exit code is 1 where one is not.
Other work on the machine slows a run down: the load is printed beside it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from addercost.hardware import list_hardware
from addercost.results.sweep_settings import SweepSettings
from addercost.sweep.chunks.chunk import Engine
from addercost.sweep.chunks.dask_cluster import dask_cluster
from addercost.sweep.chunks.process_pool import process_pool
from addercost.sweep.run import plan, sweep

CPUS = tuple(file.name for file in list_hardware(kind="cpu"))
BATCHES = (1, 8, 32, 128)
COST_MODEL = "throughput"
"""Named here, so that figures of different dates are of one cost model whatever the default is."""
GIB = 1 << 30
CHUNK = 500


class Peak:
    """The most memory that this process and its children had at one time, with shared pages counted once, and
    their processor time. Other work on the machine lengthens processor time less than wall time.
    """

    def __init__(self) -> None:
        self.n_bytes = 0
        self._cpu_s: dict[int, float] = {}
        self._before_s = sum(psutil.Process().cpu_times()[:2])

    @property
    def cpu_s(self) -> float:
        return sum(self._cpu_s.values()) - self._before_s

    def sample(self) -> None:
        process = psutil.Process()
        total = 0
        for member in (process, *process.children(recursive=True)):
            try:
                total += member.memory_full_info().pss
                self._cpu_s[member.pid] = sum(member.cpu_times()[:2])
            except (psutil.Error, AttributeError):
                continue
        self.n_bytes = max(self.n_bytes, total)


@contextmanager
def peak_memory() -> Iterator[Peak]:
    peak, done = Peak(), threading.Event()

    def watch() -> None:
        while not done.wait(1.0):
            peak.sample()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def timed_sweep(settings: SweepSettings, engine: Engine, first: int | None = None) -> tuple[float, Peak]:
    """(seconds, memory and processor time) of a sweep of NAS-Bench-201, the workers' start included."""
    with tempfile.TemporaryDirectory() as folder, peak_memory() as peak:
        start = time.perf_counter()
        sweep(plan("nasbench201", settings, first), Path(folder) / "out", engine=engine)
        seconds = time.perf_counter() - start
    return seconds, peak


def verdict(name: str, text: str, met: bool) -> bool:
    load = os.getloadavg()[0]
    print(
        f"{name:12} {text}  {'met' if met else 'NOT MET'}  (load {load:.1f} on {os.cpu_count()} cores)",
        flush=True,
    )
    return met


def nasbench201() -> bool:
    settings = SweepSettings(cpus=CPUS[:10], batches=BATCHES, cost_model=COST_MODEL)
    seconds, peak = timed_sweep(settings, process_pool(2))
    used = f"{seconds:.1f} s of 60 s ({peak.cpu_s:.0f} s of processor time)"
    text = f"{used}, {peak.n_bytes / GIB:.2f} GiB of 1.50 GiB, 625,000 rows"
    return verdict("nasbench201", text, seconds < 60 and peak.n_bytes < 1.5 * GIB)


def costing() -> bool:
    """Random architectures of 20 kinds of layers out of 2,000 each."""
    from scipy.sparse import csr_array

    from addercost.arithmetic import Arithmetic, OpClass
    from addercost.cost.layer_table import layer_costs, layer_table
    from addercost.cost.layers import LayerKind
    from addercost.cost.target_registry import load_target

    random = np.random.default_rng(0)
    kinds = [
        LayerKind(
            Arithmetic.MAC,
            ((OpClass.MUL, "fp32", int(n)), (OpClass.ADD, "fp32", int(n))),
            int(n),
            int(4 * n),
        )
        for n in random.integers(1, 10**8, 2_000)
    ]
    targets = [load_target(CPUS[i % len(CPUS)]) for i in range(100)]
    architectures, chunk, layers = 10**6, 10_000, 20
    columns = random.integers(0, len(kinds), architectures * layers)
    times = np.ones(chunk * layers, dtype=np.int64)
    ends = np.arange(0, chunk * layers + 1, layers)
    start = time.perf_counter()
    total = 0.0
    table = layer_table(kinds)
    per_layer, *_ = layer_costs(table, targets, COST_MODEL)
    for first in range(0, architectures, chunk):
        part = columns[first * layers : (first + chunk) * layers]
        occurrences = csr_array((times, part, ends), shape=(chunk, len(kinds)))
        total += float((occurrences @ per_layer).sum())
    seconds = time.perf_counter() - start
    assert np.isclose(total, per_layer[columns].sum(), rtol=1e-9)
    return verdict("costing", f"{seconds:.1f} s of 10 s for 10⁸ costs on one core", seconds < 10)


def dask() -> bool:
    """Architectures a second in the second half of the whole job, when each worker has traced most blocks."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    # In turn, and the best of each, since other programs on a shared machine take up to a third of it for a
    # minute.
    for workers in (1, 2, 2, 1):
        rates[workers].append(rate(workers))
    one, two = max(rates[1]), max(rates[2])
    text = f"{two / one:.2f} × of 1.70 × ({one:.0f} and {two:.0f} architectures a second)"
    return verdict("dask", text, two / one >= 1.7)


def rate(workers: int) -> float:
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        settings = SweepSettings(cpus=CPUS[:10], batches=BATCHES, cost_model=COST_MODEL, chunk=CHUNK)
        sweep(
            plan("nasbench201", settings),
            Path(folder) / "out",
            engine=dask_cluster(f"local:{workers}"),
            on_chunk=lambda done, failed: ends.append(time.perf_counter()),
        )
    half = len(ends) // 2
    # The last chunk is shorter and its worker may be alone.
    return CHUNK * (len(ends) - 2 - half) / (ends[-2] - ends[half])


def memory() -> bool:
    settings = SweepSettings(cpus=CPUS[:10], cost_model=COST_MODEL, chunk=CHUNK)
    _, small = timed_sweep(settings, process_pool(1), 3_000)
    _, large = timed_sweep(settings, process_pool(1), 12_000)
    sizes = f"{small.n_bytes / GIB:.2f} GiB for 3,000 and {large.n_bytes / GIB:.2f} GiB for 12,000"
    text = f"{sizes} architectures, of 1.1 ×"
    return verdict("memory", text, large.n_bytes < 1.1 * small.n_bytes)


def reuse() -> bool:
    import torch
    from torch import nn

    from addercost.api import trace_model
    from addercost.counts.call_work import is_counted
    from addercost.trace.reuse.tracer import BlockCache, trace_blocks

    layer = nn.TransformerEncoderLayer(64, 4, batch_first=True, device="meta")
    model = nn.TransformerEncoder(layer, 126)
    x = torch.empty(1, 16, 64, device="meta")
    trace_model(model, x)
    full = best(lambda: trace_model(model, x))
    blocks = best(lambda: trace_blocks(model, [((x,), {})], cache=BlockCache(is_counted)))
    times = f"{full * 1e3:.0f} ms whole, {blocks * 1e3:.0f} ms by blocks"
    text = f"126 layers: {times}, {full / blocks:.1f} × of 2.0 ×"
    return verdict("reuse", text, full / blocks >= 2)


def best(run: Callable[[], object], repeats: int = 5) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


BENCHMARKS = {function.__name__: function for function in (nasbench201, costing, dask, memory, reuse)}

if __name__ == "__main__":
    met = [BENCHMARKS[name]() for name in sys.argv[1:] or BENCHMARKS]
    sys.exit(0 if all(met) else 1)
