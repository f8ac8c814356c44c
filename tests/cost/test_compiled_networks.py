"""The cost model `calibrated-fused`, by compiled networks that take what a known law says."""

import math
import random
from collections import Counter
from dataclasses import replace

import pytest

import addercost
from addercost.cost.calibrated import tables
from addercost.cost.calibrated.compiled import fit_compiled
from addercost.cost.calibrated.families import family_of
from addercost.cost.calibrated.tables import fitted, fitted_compiled, why_unusable
from addercost.cost.estimate import estimate
from addercost.cost.models import cost_model_named
from addercost.counts.kernel_calls import KernelCall, Operand, kernel_calls
from addercost.counts.model import count
from addercost.hardware.kernel_times import CHANNELS_LAST, COMPILED, NetworkSample, to_json
from addercost.measure.kernel_times.draw import SHARES, Drawing, draw
from tests.cost.times_by_law import fit_by_law, law_s, made_times, target_by_law

SHARE_OF = {
    "dense convolution": 0.9, "pointwise convolution": 0.9, "linear": 0.9, "batch norm": 0.5,
    "special function": 0.8, "elementwise": 0.2, "maximum pool": 1.3, "copy": 1.3,
    "linear of one row": 0.9, "native dense convolution": 0.9, "native pointwise convolution": 0.9,
}  # fmt: skip
"""The shares of the law by which the networks here are made."""

CALL_S, COPY_S = 3e-6, 4e-10


@pytest.fixture(scope="module", autouse=True)
def _by_law():
    """A fit to kernels that were run eagerly is the law of `times_by_law.py`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "fit", fit_by_law)
        yield


def compiled_s(call):
    """What a kernel takes in a compiled network by the law, with its weights in the caches."""
    family = family_of(call)
    seconds = SHARE_OF[family] * law_s(call)
    if "convolution" in family or "linear" in family:
        seconds += CALL_S
    if family.endswith("dense convolution"):
        seconds += COPY_S * 4 * math.prod(call.argument("weight").shape)
    return seconds


def compiled_networks(n):
    chance = random.Random(5)
    shares = {name: share for name, share in SHARES.items() if name in SHARE_OF} | {
        "special": 12,
        "batch norm": 10,
    }
    calls = [c for c in draw(1500, 2, Drawing("float32", shares)) if family_of(c) in SHARE_OF]
    for i in range(n):
        part = tuple(chance.sample(calls, chance.randint(20, 60)))
        yield NetworkSample(f"compiled pattern {i % 4} {i}", part, (sum(map(compiled_s, part)),))


def times_of_networks(n):
    times = made_times()
    conditions = replace(times.conditions, mode=COMPILED)
    return replace(times, conditions=conditions, samples=(), networks=(*compiled_networks(n),))


def target_with(folder, n=24):
    target = target_by_law(folder)
    times = made_times()
    eager = folder / "kernels-1-float32-eager-channels-last.json"
    eager.write_text(to_json(replace(times, conditions=replace(times.conditions, layout=CHANNELS_LAST))))
    compiled = folder / "kernels-1-float32-compiled.json"
    compiled.write_text(to_json(times_of_networks(n)))
    return replace(target, kernel_files=(*target.kernel_files, eager, compiled))


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return target_with(tmp_path_factory.mktemp("kernels"))


def test_the_fit_finds_the_law_of_compiled_networks(target):
    _, eager, compiled = target.kernel_files
    found = fitted_compiled(compiled, eager, "float32")
    assert found.shares == pytest.approx([0.9, 0.5, 0.8, 0.2, 1.3], abs=0.05)
    assert found.call_s == pytest.approx(CALL_S, rel=0.5)
    assert found.copy_s == pytest.approx(COPY_S, rel=0.1)
    assert 1 < found.network_spread < 1.05


def test_an_estimate_is_the_law_with_its_interval(target):
    trace = addercost.trace_model("zoo:lenet5-bn")
    cost = estimate(count(trace), target, "calibrated-fused")
    expected = sum(compiled_s(call) for _, call in kernel_calls(trace.calls))
    assert cost.complete
    assert cost.seconds == pytest.approx(expected, rel=0.1)
    low, high = cost.interval_s
    assert low < cost.seconds < high
    eager = estimate(count(trace), target, "calibrated")
    assert cost.seconds < eager.seconds
    assert any("24 networks timed on" in note for note in cost.assumptions)


def test_filters_of_one_pixel_are_not_copied(target):
    _, eager, compiled = target.kernel_files
    found = fitted_compiled(compiled, eager, "float32")
    kernels = fitted(eager)
    shapes = Counter()
    for call in draw(300, 3, Drawing("float32", {"pointwise convolution": 1, "dense convolution": 1})):
        copied = found.seconds([call])[0][0] - found.shares[0] * kernels.near.seconds(*_work(call))[0]
        one_pixel = math.prod(call.argument("weight").shape[2:]) == 1
        weights = 0 if one_pixel else call.argument("weight").n_bytes
        assert copied == pytest.approx(found.call_s + found.copy_s * weights)
        shapes[one_pixel] += 1
    assert min(shapes[True], shapes[False]) > 50


def _work(call):
    from addercost.cost.calibrated.features import features

    rows, work = features([call])
    return work, rows


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        pytest.param("compiled", "--mode compiled", id="no compiled networks"),
        pytest.param("channels-last", "--layout channels-last", id="no kernels in channels-last"),
    ],
)
def test_without_one_of_its_files_it_says_which_command_makes_it(tmp_path, left_out, said):
    target = target_with(tmp_path)
    kept = tuple(path for path in target.kernel_files if left_out not in path.name)
    why = cost_model_named("calibrated-fused").unusable(replace(target, kernel_files=kept))
    assert f"addercost calibrate --kernels {said}" in why


def test_too_few_compiled_networks_are_refused_with_their_number(tmp_path):
    why = cost_model_named("calibrated-fused").unusable(target_with(tmp_path, n=5))
    assert "5 compiled networks; it needs 8" in why


def test_a_file_of_compiled_networks_predicts_no_eager_ones(target):
    *_, compiled = target.kernel_files
    why = why_unusable(replace(target, kernel_files=(compiled,)))
    assert "in compiled networks, and this estimate is for eager ones" in why


def test_a_kernel_without_weights_takes_its_class_alone(target):
    _, eager, compiled = target.kernel_files
    found = fitted_compiled(compiled, eager, "float32")
    x = Operand((1, 8, 16, 16), "float32")
    relu = KernelCall("aten.relu.default", (("self", x),), (x,))
    near, far = found.seconds([relu])
    assert far.tolist() == [0]
    assert near[0] == pytest.approx(found.shares[3] * law_s(relu))


def test_the_interval_is_of_patterns_that_the_fit_did_not_see(tmp_path):
    """Networks of one pattern that take twice as long as the law: a fit that saw others of that pattern would
    miss them by less than a fit that saw none.
    """
    times = times_of_networks(24)
    slow = [
        replace(network, seconds=(2 * network.seconds[0],)) if " 3 " in network.name else network
        for network in times.networks
    ]
    eager = fit_by_law(made_times())
    assert fit_compiled(replace(times, networks=tuple(slow)), eager).network_spread > 1.8
