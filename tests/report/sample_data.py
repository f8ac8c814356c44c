"""Made-up measurements and training records for tests of what shows them. They are no results."""

from __future__ import annotations

import math
import random
from typing import Any


def measurements(rows: int = 4, samples: int = 60, seed: int = 1) -> dict[str, Any]:
    """A document with one row a layer and two arithmetics, log-normal samples around 10 µs · (row + 1)."""
    draw = random.Random(seed)
    made = []
    for i in range(rows):
        for arithmetic, factor in (("mac", 1.0), ("adder", 2.1)):
            centre = 1e-5 * (i + 1) * factor
            made.append(
                {
                    "path": f"layer{i}.conv",
                    "arithmetic": arithmetic,
                    "implementation": "made up",
                    "dtype": "fp32",
                    "samples_s": [centre * math.exp(draw.gauss(0, 0.05)) for _ in range(samples)],
                    "predicted": [
                        {"hardware": "test-cpu", "model": "throughput", "seconds": centre * 0.8},
                        {"hardware": "test-cpu", "model": "latency-sum", "seconds": centre * 30},
                    ],
                }
            )
    return {
        "schema": "addercost/measurements/1",
        "model": "made-up",
        "environment": {"cpu": "none: made-up samples", "threads": "1"},
        "rows": made,
    }


def training(name: str = "adder", model: str = "zoo:lenet5-bn:adder", seed: int = 2) -> dict[str, Any]:
    """A record with every optional part, of noise."""
    draw = random.Random(seed)
    epochs = 20
    xs = [(label, draw.gauss(0, 1), draw.gauss(0, 1)) for label in range(10) for _ in range(40)]
    return {
        "schema": "addercost/training/1",
        "name": name,
        "model": model,
        "dataset": "MNIST",
        "accuracy_percent": 98.0 + draw.random(),
        "curves": {
            "test accuracy (%)": [
                90 + 9 * (1 - math.exp(-e / 4)) + draw.gauss(0, 0.2) for e in range(epochs)
            ],
            "train loss": [math.exp(-e / 5) + 0.05 * draw.random() for e in range(epochs)],
        },
        "gradient_norms": {
            name: [scale * math.exp(draw.gauss(0, 0.1)) for _ in range(epochs)]
            for name, scale in (("conv1", 1e-3), ("conv2", 1e-2), ("fc", 0.3))
        },
        "filters": {"conv1": [[[draw.gauss(0, 1) for _ in range(5)] for _ in range(5)] for _ in range(6)]},
        "weights": {
            "conv1": [draw.gauss(0, 1) for _ in range(600)],
            "conv2": [draw.choice((-1, 1)) * draw.expovariate(1) for _ in range(900)],
        },
        "features": {
            "x": [math.cos(label * 0.63) * 5 + x for label, x, _ in xs],
            "y": [math.sin(label * 0.63) * 5 + y for label, _, y in xs],
            "label": [label for label, _, _ in xs],
        },
    }
