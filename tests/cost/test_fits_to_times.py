"""Fits to times of kernels and networks that follow a known law find that law."""

from dataclasses import replace

import numpy as np
import pytest

import addercost
from addercost.cost.calibrated.features import sizes_of, weight_bytes
from addercost.cost.calibrated.fit import fit
from addercost.cost.calibrated.network_law import NetworkLaw, fit_networks, near_and_far
from addercost.cost.estimate import estimate
from addercost.cost.target import STREAMED
from addercost.counts.kernel_calls import kernel_calls
from addercost.counts.model import count
from addercost.hardware.kernel_times import NetworkSample
from addercost.measure.kernel_times.draw import SHARES, Drawing, draw
from tests.cost.times_by_law import ByLaw, law_s, made_times, network_s, target_by_law


@pytest.fixture(scope="module")
def trace():
    return addercost.trace_model("zoo:lenet5-bn")


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return target_by_law(tmp_path_factory.mktemp("kernels"))


def test_unseen_layers_follow_the_law(target, trace):
    """The law is in the prior's form, so a fit to it has little to learn."""
    cost = estimate(count(trace), target, "calibrated")
    assert cost.complete
    assert cost.seconds == pytest.approx(network_s([call for _, call in kernel_calls(trace.calls)]), rel=0.15)
    low, high = cost.interval_s
    assert low <= cost.seconds <= high
    streamed = estimate(count(trace), replace(target, kernel_caches=STREAMED), "calibrated")
    assert streamed.seconds == pytest.approx(cost.seconds, rel=0.15)


def test_a_layer_that_runs_again_and_again_takes_what_warm_kernels_took(target, trace):
    """They take half as long by the law, and no call of a network stands beside them."""
    warm = replace(target, kernel_caches="warm")
    cost = estimate(count(trace), warm, "calibrated")
    expected = sum(law_s(call) / 2 for _, call in kernel_calls(trace.calls))
    assert cost.seconds == pytest.approx(expected, rel=0.15)


def test_what_networks_take_beside_their_kernels_is_found():
    """Networks that follow the law: linear layers take 1.2 times as long, α is 0.4, a byte takes 30 ps and a
    call 2 µs.
    """
    calls = list(dict.fromkeys(draw(400, 3, Drawing("float32", SHARES))))
    half = 4e6
    law = NetworkLaw(far_share=0.4, linear_factor=1.2, byte_s=3e-11, call_s=2e-6)
    near, far = ByLaw(1.0), ByLaw(1.8)

    def takes(part):
        weights = sum(map(weight_bytes, part))
        taken, beyond = law.seconds(near_and_far(part, near, far))
        return float((taken + weights / (weights + half) * beyond).sum())

    def pattern(i):
        convolves = [call for call in calls if "convolution" in sizes_of(call).family]
        linear = [call for call in calls if sizes_of(call).family == "linear"]
        small = [call for call in calls if sizes_of(call).family == "elementwise"]
        return tuple((convolves, linear, small)[i % 3][i // 3 :: 6])

    networks = [NetworkSample(f"{i}", pattern(i), (takes(pattern(i)),)) for i in range(18)]
    seconds = np.array([network.seconds[0] for network in networks])
    found, spread = fit_networks(networks, seconds, near, far, half)
    assert found.far_share == pytest.approx(0.4, abs=0.04)
    assert found.linear_factor == pytest.approx(1.2, rel=0.04)
    assert found.byte_s == pytest.approx(3e-11, rel=0.1)
    assert found.call_s == pytest.approx(2e-6, abs=0.8e-6), "the pull towards 3 µs is weak"
    assert spread < 1.05


def test_a_network_that_was_timed_twice_takes_the_mean():
    """Timings 0.5 and 1.5 times as long as the law says have the law as their mean."""
    times = made_times(100)
    twice = tuple(
        replace(network, seconds=tuple(factor * s for s in network.seconds))
        for factor in (0.5, 1.5)
        for network in times.networks
    )
    expected, found = fit(times), fit(replace(times, networks=twice))
    assert found.law == expected.law
    assert found.network_spread == expected.network_spread


def test_only_kernels_with_weights_are_partly_far():
    calls = list(dict.fromkeys(draw(200, 3, Drawing("float32", SHARES))))
    _, beyond, linear, _ = near_and_far(calls, ByLaw(1.0), ByLaw(2.0))
    families = [sizes_of(call).family for call in calls]
    assert [b > 0 for b in beyond] == ["convolution" in f or f.startswith("linear") for f in families]
    assert linear.tolist() == [family.startswith("linear") for family in families]
