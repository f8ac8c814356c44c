"""Three numbers from measured networks: exact where times follow the model, near where they are real.

`timm_i9_10940x.csv` has 60 of timm's published timings (Apache-2.0; batch 1, fp32, compiled; drawn by lot
from results/benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo.csv) and our counts of these networks. It is
made by `python -m benchmarks.published_timings … --sample 60 --extract tests/cost/timm_i9_10940x.csv`.
"""

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.device_classes import CLASS_DEFAULTS
from addercost.cost.efficiency_fit import FEWEST_NETWORKS, fit, unit_seconds
from addercost.cost.estimate import estimate
from addercost.cost.target_registry import load_target
from addercost.counts.runs import LayerRuns, Run
from addercost.errors import ArgumentError
from addercost.hardware.schema.efficiency import Efficiency
from addercost.hardware.vocabulary import Quality

I9 = replace(
    load_target("intel-skylake-x"),
    cores=14,
    clock_hz=3.3e9,
    part_bandwidth_bytes_per_s=93.9e9,
    efficiencies=(),
)
"""Its core is Skylake-X's; cores, base clock and memory (4 × DDR4-2933) are Intel's for the i9-10940X."""


@dataclass(frozen=True)
class Layer:
    counts: OpCounts
    mac_sites: int
    runs: LayerRuns
    arithmetic: Arithmetic = Arithmetic.MAC
    path: str = ""
    bytes: int = 0


def layer(sites: int, n_bytes: int, calls: int) -> Layer:
    run = Run(calls, n_bytes)
    return Layer(OpCounts.of("fp32", mul=sites, add=sites), sites, LayerRuns(run, run))


def seconds(network, efficiency: Efficiency) -> float:
    """By the cost model itself."""
    found = estimate(network, replace(I9, efficiencies=(efficiency,)), efficiency.run).seconds
    assert found is not None
    return found


VARIED = [
    [layer(sites, n_bytes, calls)]
    for sites, n_bytes, calls in [
        (10**6, 10**5, 3), (10**9, 10**6, 50), (10**8, 10**8, 100), (10**7, 10**7, 500), (10**10, 10**9, 20),
        (10**9, 10**7, 300), (10**8, 10**9, 10), (10**6, 10**8, 5),
    ]
]  # fmt: skip


def test_the_cost_of_a_layer_is_the_sum_of_its_parts():
    """32 fp32 multiply-adds a cycle and core (two of 16 lanes): 4,480,000 sites on 14 cores at half of that
    are 20,000 cycles. 9.39 MB at half of 93.9 GB/s are 200 µs, 10 kernels of 5 µs are 50 µs."""
    half = Efficiency("fused", 0.5, 0.5, 5e-6, "own", Quality.MEASURED)
    fma = unit_seconds([layer(4_480_000, 0, 0)], I9, "fused")[0] * 3.3e9
    assert fma == pytest.approx(4_480_000 / 32 / 14)
    expected = 2 * fma / 3.3e9 + 200e-6 + 50e-6
    assert seconds([layer(4_480_000, 9_390_000, 10)], half) == pytest.approx(expected)


@settings(max_examples=25)
@given(arithmetic=st.floats(0.05, 2), bandwidth=st.floats(0.05, 2), call_s=st.floats(1e-7, 1e-3))
def test_times_that_follow_the_model_give_its_numbers_back(arithmetic, bandwidth, call_s):
    truth = Efficiency("eager", arithmetic, bandwidth, call_s, "own", Quality.MEASURED)
    found = fit(VARIED, [seconds(network, truth) for network in VARIED], I9, "eager")
    numbers = (found.arithmetic_share, found.bandwidth_share, found.call_s)
    assert numbers == pytest.approx((arithmetic, bandwidth, call_s), rel=1e-3)
    assert found.spread == pytest.approx(1, abs=1e-3)
    assert (found.run, found.networks) == ("eager", len(VARIED))


def test_one_network_that_runs_otherwise_moves_the_numbers_little():
    truth = Efficiency("fused", 0.5, 0.7, 2e-5, "own", Quality.MEASURED)
    times = [seconds(network, truth) for network in VARIED for _ in range(3)]
    times[0] *= 10
    found = fit([network for network in VARIED for _ in range(3)], times, I9, "fused")
    assert found.arithmetic_share == pytest.approx(0.5, rel=0.1)
    assert found.bandwidth_share == pytest.approx(0.7, rel=0.1)


def test_six_networks_are_enough():
    """They decide three numbers and show by how much they disagree."""
    truth = Efficiency("fused", 0.5, 0.7, 2e-5, "own", Quality.MEASURED)
    found = fit(VARIED[:6], [seconds(network, truth) for network in VARIED[:6]], I9, "fused")
    assert found.networks == 6
    assert found.arithmetic_share == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize(
    ("networks", "times", "target", "said"),
    [
        pytest.param(VARIED[:5], [1.0] * 5, I9, "decide no three numbers", id="too-few"),
        pytest.param(VARIED, [1.0] * 7, I9, "expected one each", id="a-time-is-missing"),
        pytest.param(VARIED, [1.0] * 7 + [0.0], I9, "not a positive number", id="no-time"),
        pytest.param(VARIED, [1.0] * 7 + [float("nan")], I9, "not a positive number", id="nan"),
        pytest.param(VARIED, [1.0] * 8, replace(I9, clock_hz=None), "no clock", id="no-clock"),
    ],
)
def test_what_cannot_be_fitted(networks, times, target, said):
    assert len(VARIED) >= FEWEST_NETWORKS
    with pytest.raises(ArgumentError, match=said):
        fit(networks, times, target, "fused")


def published() -> tuple[list[str], list[list[Layer]], np.ndarray]:
    """Names, each network as one layer that has the sums of its counts and runs, and seconds."""
    with (Path(__file__).parent / "timm_i9_10940x.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    networks = []
    for row in rows:
        counts = OpCounts.from_mapping(
            {
                (OpClass(c), f): n
                for f, by_class in json.loads(row["counts"]).items()
                for c, n in by_class.items()
            }
        )
        runs = LayerRuns(*(Run(*run) for run in json.loads(row["runs"])))
        networks.append([Layer(counts, int(row["mac_sites"]), runs)])
    return [row["model"] for row in rows], networks, np.array([float(row["seconds"]) for row in rows])


def within(predicted, measured, band: float = 0.25) -> float:
    return float(np.mean(np.abs(np.asarray(predicted) / measured - 1) <= band))


def test_three_numbers_predict_networks_that_they_were_not_fitted_on():
    """Of 240 networks 84 % are within 25 % where other families were fitted, Spearman 0.98
    (benchmarks/results/published-timings-cpu.txt); 60 leave a standard error of five points."""
    _, networks, measured = published()
    predicted = np.empty(len(networks))
    for first in (0, 1):
        fitted, asked = range(first, len(networks), 2), range(1 - first, len(networks), 2)
        found = fit([networks[i] for i in fitted], [measured[i] for i in fitted], I9, "fused")
        predicted[list(asked)] = [seconds(networks[i], found) for i in asked]
    assert within(predicted, measured) >= 0.75
    assert spearmanr(predicted, measured)[0] >= 0.95
    sites = np.array([network[0].mac_sites for network in networks])
    assert within(sites * np.median(measured / sites), measured) < 0.5


def test_the_class_default_scaled_to_one_network_predicts_the_others():
    """Each network in turn is the one that was measured; the median of them has to do."""
    _, networks, measured = published()
    default = replace(CLASS_DEFAULTS["desktop"], run="fused")
    ratios = np.array([seconds(network, default) for network in networks]) / measured
    assert np.median([within(ratios / anchor, 1.0) for anchor in ratios]) >= 0.6
    assert default.spread is not None
    assert np.mean(np.abs(np.log(ratios)) <= np.log(default.spread)) >= 0.85
