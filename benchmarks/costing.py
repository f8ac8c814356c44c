"""Costing is array work: a Monte Carlo over every table figure, and a deep model on every processor.

    python -m benchmarks.costing > benchmarks/results/costing.txt

Targets: 1,000 draws × 82 processors × LeNet to ResNet-50 in under 1 s; tables already loaded, models counted.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

from addercost.api import trace_spec
from addercost.arithmetic import Arithmetic
from addercost.cost.estimate import estimate
from addercost.cost.layers import operation_keys
from addercost.cost.models import COST_MODELS
from addercost.cost.sensitivity import count_matrix, latencies, monte_carlo
from addercost.cost.target_registry import load_target
from addercost.counts.model import count
from addercost.hardware import list_hardware
from addercost.models.zoo import ZOO

DRAWS = 1000
REPEATS = 7


def median_seconds(work: Callable[[], Any]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    traces = {name: trace_spec(f"zoo:{name}") for name in ZOO}
    targets = [load_target(file.name) for file in list_hardware(kind="cpu")]
    totals = [
        count(trace, "macs", arithmetic=arithmetic).total
        for trace in traces.values()
        for arithmetic in (Arithmetic.MAC, Arithmetic.ADDER)
    ]
    print(f"Python {platform.python_version()}, {platform.machine()}, medians of {REPEATS} runs")
    keys = operation_keys(totals)

    def draw() -> None:
        monte_carlo(latencies(targets, keys), count_matrix(totals, keys), DRAWS)

    seconds = median_seconds(draw)
    print(
        f"Monte Carlo, {DRAWS} draws × {len(targets)} processors × {len(totals)} count vectors "
        f"({len(traces)} models as CNN and adder): {seconds * 1e3:.0f} ms (target 1,000)"
    )
    deepest = max((count(trace) for trace in traces.values()), key=lambda counts: len(counts.layers))
    for name in COST_MODELS:
        seconds = median_seconds(lambda: [estimate(deepest, target, name) for target in targets])  # noqa: B023
        rows = f"{deepest.model}, {len(deepest.layers)} layers"
        print(f"{name}: {rows} on {len(targets)} processors: {seconds:.2f} s")


if __name__ == "__main__":
    main()
