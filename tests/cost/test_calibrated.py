"""The cost model `calibrated`, on kernel times that a known law gives."""

import json
from dataclasses import replace

import pytest

import addercost
import addercost.cost.calibrated.fit as fitting
from addercost.cost.calibrated.features import sizes_of
from addercost.cost.calibrated.tables import differences, fitted, why_unusable
from addercost.cost.estimate import estimate
from addercost.cost.target_registry import load_target
from addercost.counts.kernel_calls import kernel_calls
from addercost.counts.model import count
from addercost.errors import DataError
from addercost.hardware.kernel_times import (
    Conditions,
    KernelSample,
    KernelTimes,
    NetworkSample,
    from_json,
    to_json,
)
from addercost.measure.kernel_times.draw import SHARES, Drawing, draw
from addercost.results.profile import Profile, profile_from_data

PROCESSOR = "Some Core 6-1-2"


def law_s(call):
    """What each kernel takes here: 5 µs, and 20 ps a site and 100 ps a byte."""
    sizes = sizes_of(call)
    return 5e-6 + 2e-11 * sizes.sites + 1e-10 * sizes.bytes


def network_s(calls):
    """2 µs a call beside the kernels."""
    return sum(law_s(call) + 2e-6 for call in calls)


def made_times(n=400):
    calls = list(dict.fromkeys(draw(n, 1, Drawing("float32", SHARES))))
    samples = [KernelSample(call, (law_s(call),), (law_s(call),), (law_s(call),)) for call in calls]
    networks = [
        NetworkSample(f"network {i}", part, (network_s(part),))
        for i, part in enumerate(tuple(calls[i::8]) for i in range(8))
    ]
    conditions = Conditions(PROCESSOR, 1, "float32", addercost_torch())
    return KernelTimes(conditions, tuple(samples), tuple(networks))


def addercost_torch():
    import torch

    return torch.__version__


@pytest.fixture(scope="module")
def trace():
    return addercost.trace_model("zoo:lenet5-bn")


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    path = tmp_path_factory.mktemp("kernels") / "kernels-1-float32-eager.json"
    path.write_text(to_json(made_times()))
    return replace(load_target("amd-zen4"), processor="Some Core", kernel_files=(path,))


def test_a_document_is_read_as_it_was_written():
    times = made_times(60)
    assert from_json(to_json(times), "times") == times


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data["samples"][0].update(call=10**6), id="no such call"),
        pytest.param(lambda data: data["samples"][0].update(near_s=[-1.0]), id="negative seconds"),
        pytest.param(lambda data: data.update(schema="addercost/kernel-times/0"), id="another schema"),
        pytest.param(lambda data: data["calls"][0].update(op="nothing"), id="no operator"),
    ],
)
def test_damaged_times_are_refused_by_name(change):
    data = json.loads(to_json(made_times(60)))
    change(data)
    with pytest.raises(DataError, match="times"):
        from_json(json.dumps(data), "times")


def test_unseen_layers_follow_the_law(target, trace):
    """The law is in the prior's form, so a fit to it has little to learn."""
    cost = estimate(count(trace), target, "calibrated")
    assert cost.complete
    assert cost.seconds == pytest.approx(network_s([call for _, call in kernel_calls(trace.calls)]), rel=0.15)
    assert cost.cycles == pytest.approx(cost.seconds * target.clock_hz, rel=1e-6)
    for layer in cost.layers:
        low, high = layer.interval_s
        assert low <= layer.cycles / target.clock_hz + 1e-9 and layer.cycles / target.clock_hz <= high + 1e-9
    low, high = cost.interval_s
    assert low <= cost.seconds <= high
    assert sum(layer.cycles for layer in cost.layers) == pytest.approx(cost.cycles, rel=1e-3)


def test_intervals_are_kept_in_a_saved_profile(target, trace):
    counts = count(trace)
    profile = Profile(counts, (estimate(counts, target, "calibrated"),))
    assert profile_from_data(json.loads(profile.to_json())) == profile


def test_saved_counts_have_no_kernels_to_predict(target, trace):
    saved = profile_from_data(json.loads(Profile(count(trace)).to_json())).counts
    cost = estimate(saved, target, "calibrated")
    assert not cost.complete and cost.seconds == 0
    assert "saved counts" in str(cost.missing[0])


def test_a_layer_that_nothing_runs_is_not_charged(target, trace):
    cost = estimate(count(trace, arithmetic="adder"), target, "calibrated")
    assert any("adder.addmm" in str(figure) for figure in cost.missing)


def test_convolutions_in_another_arithmetic_are_our_operators(trace):
    from addercost.counts.what_if import apply

    ops = {call.op for _, call in kernel_calls(apply(trace, "adder", False).calls)}
    assert "addercost.adder_conv2d.default" in ops and "aten.convolution.default" not in ops


def test_kinds_that_were_not_timed_have_intervals_twice_as_wide_and_are_named(target, trace):
    """Adder convolutions are in no drawing of `SHARES`."""
    cost = estimate(count(trace, arithmetic="adder"), target, "calibrated")
    assert any("not timed (adder convolution" in text for text in cost.assumptions)
    (path,) = target.kernel_files
    spread = fitted(path).spread[-1] ** 2
    layer = next(layer for layer in cost.layers if layer.bound == "adder convolution")
    low, high = layer.interval_s
    assert high / low == pytest.approx(spread**2)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param({"processor": "Another Core 1-1-1"}, "Another Core", id="processor"),
        pytest.param({"threads": 8}, "8 threads", id="threads"),
        pytest.param({"torch": "1.0.0"}, "torch 1.0.0", id="library"),
    ],
)
def test_times_of_other_conditions_are_refused_by_name_and_can_be_borrowed(
    tmp_path, target, trace, change, text
):
    times = made_times(150)
    other = replace(times, conditions=replace(times.conditions, **change))
    assert differences(times.conditions, target) == []
    assert text in differences(other.conditions, target)[0]
    path = tmp_path / "kernels-other.json"
    path.write_text(to_json(other))
    refused = replace(target, kernel_files=(path,))
    assert text in why_unusable(refused)
    assert not estimate(count(trace), refused, "calibrated").complete
    cost = estimate(count(trace), replace(refused, borrows_kernels=True), "calibrated")
    assert cost.complete and any(note.startswith("borrowed") and text in note for note in cost.assumptions)


def test_nine_of_ten_kernels_that_a_fit_did_not_see_are_within_the_spread():
    """The quantile of n errors that covers them: the ⌈0.9·(n + 1)⌉-th smallest."""
    import numpy as np

    errors = np.random.default_rng(0).permutation(np.arange(1, 100) / 1000)
    families = np.zeros(99, dtype=int)
    assert fitting.conformal_spread(families, errors)[-1] == pytest.approx(np.exp(0.090))


def test_without_times_the_model_says_how_to_get_them():
    target = load_target("amd-zen4")
    assert "addercost calibrate --kernels" in why_or_model(target)


def why_or_model(target):
    from addercost.cost.models import cost_model_named

    return cost_model_named("calibrated").unusable(target)


class Scaled:
    """A model by which a kernel takes some times as long as `law_s` says."""

    def __init__(self, factor):
        self.factor = factor

    def seconds(self, work, rows):
        return self.factor * (work @ [5e-6, 2e-11, 1e-10])


def test_what_networks_take_beside_their_kernels_is_found():
    """Networks that follow the law: linear layers take 1.2 times as long, α is 0.4, a call 2 µs."""
    calls = list(dict.fromkeys(draw(600, 3, Drawing("float32", SHARES))))
    law = fitting.NetworkLaw(far_share=0.4, linear_factor=1.2, call_s=2e-6)
    near, far = Scaled(1.0), Scaled(1.8)

    def takes(part):
        return float(law.seconds(*fitting._near_and_far(part, near, far)).sum())

    def pattern(i):
        convolves = [call for call in calls if "convolution" in sizes_of(call).family]
        linear = [call for call in calls if sizes_of(call).family == "linear"]
        small = [call for call in calls if sizes_of(call).family == "elementwise"]
        return tuple((convolves, linear, small)[i % 3][i // 3 :: 6])

    networks = [NetworkSample(f"{i}", pattern(i), (takes(pattern(i)),)) for i in range(18)]
    found, spread = fitting.fit_networks(networks, near, far)
    assert found.far_share == pytest.approx(0.4, abs=0.04)
    assert found.linear_factor == pytest.approx(1.2, rel=0.04)
    assert found.call_s == pytest.approx(2e-6, rel=0.1)
    assert spread < 1.05


def test_only_kernels_with_weights_are_partly_far():
    calls = list(dict.fromkeys(draw(200, 3, Drawing("float32", SHARES))))
    _, beyond, linear = fitting._near_and_far(calls, Scaled(1.0), Scaled(2.0))
    families = [sizes_of(call).family for call in calls]
    assert [b > 0 for b in beyond] == ["convolution" in f or f.startswith("linear") for f in families]
    assert linear.tolist() == [family.startswith("linear") for family in families]
