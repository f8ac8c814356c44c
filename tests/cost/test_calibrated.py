"""The cost model `calibrated`, by kernels that take what a known law says."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import addercost
import addercost.language_models
from addercost.cli import run
from addercost.cost.calibrated import tables
from addercost.cost.calibrated.codes import is_of_codes
from addercost.cost.calibrated.features import sizes_of
from addercost.cost.calibrated.formats import in_quantised_network
from addercost.cost.calibrated.predict import predict
from addercost.cost.calibrated.tables import differences, fitted, why_unusable
from addercost.cost.estimate import estimate
from addercost.cost.layer_table import layer_costs, layer_table
from addercost.cost.layers import Parts, kind_of
from addercost.cost.models import cost_model_named
from addercost.cost.target import IN_NETWORK, STREAMED
from addercost.cost.target_registry import load_target
from addercost.counts.kernel_calls import KernelCall, Operand, kernel_calls
from addercost.counts.model import count
from addercost.errors import ArgumentError, DataError
from addercost.hardware.kernel_times import NetworkSample, from_json, to_json
from addercost.measure.kernel_times.draw_codes import draw_codes, rounding
from addercost.results.profile import Profile, profile_from_data
from tests.cost.times_by_law import fit_by_law, law_s, made_times, network_s, target_by_law


@pytest.fixture(scope="module", autouse=True)
def _by_law():
    """Whether a fit finds the law is asked by `test_fits_to_times.py`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "fit", fit_by_law)
        yield


@pytest.fixture(scope="module")
def trace():
    return addercost.trace_model("zoo:lenet5-bn")


@pytest.fixture(scope="module")
def target(tmp_path_factory, trace):
    """The kernels of the network are timed as well, so none is beyond what was timed."""
    kernels = [call for _, call in kernel_calls(trace.calls)]
    return target_by_law(tmp_path_factory.mktemp("kernels"), kernels)


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


def test_the_estimate_of_a_network_is_the_law_and_its_layers_share_it(target, trace):
    cost = estimate(count(trace), target, "calibrated")
    assert cost.complete
    assert cost.seconds == pytest.approx(network_s([call for _, call in kernel_calls(trace.calls)]))
    assert cost.cycles == pytest.approx(cost.seconds * target.clock_hz)
    assert cost.interval_s == pytest.approx((cost.seconds / 1.1, cost.seconds * 1.1))
    for layer in cost.layers:
        seconds = layer.cycles / target.clock_hz
        assert layer.interval_s == pytest.approx((seconds / 1.2, seconds * 1.2), rel=1e-4)
    assert sum(layer.cycles for layer in cost.layers) == pytest.approx(cost.cycles, rel=1e-4)


def test_streamed_weights_of_one_row_take_what_far_ones_do(trace, tmp_path):
    """Linear layers of LeNet-5 with one image are of one row. Far kernels take three times the law's time, so
    they add twice the law's, and half of that where only half is far. All others are the same.
    """
    times = made_times()
    samples = tuple(replace(sample, far_s=(3 * sample.near_s[0],)) for sample in times.samples)
    path = tmp_path / "kernels.json"
    path.write_text(to_json(replace(times, samples=samples)))
    calls = [call for _, call in kernel_calls(trace.calls)]
    (near, far), (same, kept_far) = (fitted(path, how).seconds(calls) for how in (STREAMED, IN_NETWORK))
    assert near.tolist() == same.tolist()
    one_row = [sizes_of(call).family == "linear of one row" for call in calls]
    expected = [law_s(call) if one else 0 for call, one in zip(calls, one_row, strict=True)]
    assert any(expected)
    assert far - kept_far == pytest.approx(expected)


def test_a_text_by_predicted_kernels_is_on_the_line_between_its_ends(target, tmp_path):
    """Five tokens after a prompt of 8: the prompt gives the first; those after 8 … 11 are on the line from 8
    to 16, the context.
    """
    config = {"model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    config |= {"num_attention_heads": 4, "vocab_size": 64, "max_position_embeddings": 64}
    (tmp_path / "config.json").write_text(json.dumps(config))

    def asked(context, new):
        return addercost.language_models.language_model(
            f"hf:{tmp_path}",
            prompt=8,
            context=context,
            new=new,
            cpus=["amd-zen4"],
            kernels=target.kernel_files[0],
            cost_models=["calibrated"],
        )

    at_8, at_16 = (asked(context, 0).phases[1].costs[0].seconds for context in (8, 16))
    found = asked(16, 5)
    (text,) = found.texts
    prefill = found.phases[0].costs[0].seconds
    line = [at_8 + (at_16 - at_8) * i / 8 for i in range(4)]
    assert text.complete
    assert text.seconds == pytest.approx(prefill + sum(line), rel=1e-9)


def test_intervals_are_kept_in_a_saved_profile(target, trace):
    counts = count(trace)
    profile = Profile(counts, (estimate(counts, target, "calibrated"),))
    assert profile_from_data(json.loads(profile.to_json())) == profile


def test_saved_counts_have_no_kernels_to_predict(target, trace):
    saved = profile_from_data(json.loads(Profile(count(trace)).to_json())).counts
    cost = estimate(saved, target, "calibrated")
    assert not cost.complete and cost.seconds == 0
    assert "saved counts" in str(cost.missing[0])


def test_a_layer_that_nothing_runs_is_not_charged(target):
    """There is no adder layer along one dimension."""
    made = addercost.trace_model(torch.nn.Conv1d(4, 8, 3), torch.rand(1, 4, 10))
    cost = estimate(count(made, arithmetic="adder"), target, "calibrated")
    assert any("adder.convolution" in str(figure) for figure in cost.missing)


def test_convolutions_in_another_arithmetic_are_our_operators(trace):
    from addercost.counts.what_if import apply

    ops = {call.op for _, call in kernel_calls(apply(trace, "adder", False).calls)}
    assert "addercost.adder_conv2d.default" in ops and "aten.convolution.default" not in ops


def test_kinds_that_were_not_timed_have_intervals_twice_as_wide_and_are_named(target, trace):
    """Adder convolutions are in no drawing of `SHARES`."""
    cost = estimate(count(trace, arithmetic="adder"), target, "calibrated")
    assert any("not timed" in text and "adder convolution" in text for text in cost.assumptions)
    (path,) = target.kernel_files
    spread = fitted(path).spread[-1] ** 2
    layer = next(layer for layer in cost.layers if layer.bound == "adder convolution")
    low, high = layer.interval_s
    assert high / low == pytest.approx(spread**2)


def test_operators_of_no_family_have_intervals_twice_as_wide_and_are_named(target):
    """A Fourier transform is nothing like a sum of two tensors, of which the same trace has one."""

    class Transform(torch.nn.Module):
        def forward(self, x):
            return torch.fft.rfft(x + x).real

    made = addercost.trace_model(Transform(), torch.rand(8, 4096))
    cost = estimate(count(made), target, "calibrated")
    (named,) = (text for text in cost.assumptions if "not timed" in text)
    assert named.startswith("1 kernel of a kind") and "aten._fft_r2c" in named


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param({"processor": "Another Core 1-1-1"}, "Another Core", id="processor"),
        pytest.param({"processor": "Some Core 6-2-2"}, "Some Core 6-2-2", id="another model of that name"),
        pytest.param({"threads": 8}, "8 threads", id="threads"),
        pytest.param({"torch": "1.0.0"}, "torch 1.0.0", id="library"),
    ],
)
def test_times_of_other_conditions_are_refused_by_name_and_can_be_borrowed(
    tmp_path, target, trace, change, text
):
    times = made_times(60)
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


def test_force_borrows_the_nearest_file_where_the_model_was_asked_for(tmp_path, monkeypatch, capsys):
    """Neither file fits: both are of another processor, and one of eight threads, too."""
    folder = tmp_path / "addercost"
    folder.mkdir()
    table = Path(__file__).parents[2] / "reports" / "amd-zen4" / "host.toml"
    (folder / "host.toml").write_text(table.read_text())
    for name, threads in (("kernels-a.json", 8), ("kernels-b.json", 1)):
        times = made_times(60)
        times = replace(times, conditions=replace(times.conditions, threads=threads))
        (folder / name).write_text(to_json(times))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = ["profile", "zoo:lenet5-bn", "--cpu", "host", "--cost-model", "calibrated", "-q"]
    assert run(asked) == ArgumentError.exit_code
    assert "Some Core 6-1-2" in (refused := capsys.readouterr().err) and "--force" in refused
    assert run([*asked, "--force"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "borrowed: they were timed on Some Core 6-1-2" in shown and "8 threads" not in shown
    assert run(["profile", "zoo:lenet5-bn", "--cpu", "host", "--force", "-q"]) == 0
    assert "borrowed" not in capsys.readouterr().out


CODES = Operand((1, 64, 28, 28), "quint8")
QUANTISED = KernelCall(
    "quantized.conv2d.new",
    (
        ("qx", CODES),
        ("packed_weight", (Operand((64, 64, 1, 1), "qint8", is_weight=True),)),
        ("stride", (1, 1)),
        ("groups", 1),
    ),
    (CODES,),
)


def test_quantised_modules_that_were_not_timed_are_said_by_name(target):
    plain = Operand((1, 8, 4, 4), "float32")
    known = KernelCall("aten.relu.default", (("self", plain),), (plain,))
    found = predict(target, [(known,), (known, QUANTISED)])
    assert found.missing[0] == {}
    (named,) = found.missing[1]
    assert "quantised modules" in named and "--dtype int8" in named
    assert found.layers[0] == found.layers[1]


def test_quantised_modules_are_predicted_by_kernels_on_codes(target, tmp_path):
    """Those of the file in 8 bits; the file in fp32 has none."""
    codes = made_times(100, kernels=draw_codes(120, 1))
    kept = [sample for sample in codes.samples if in_quantised_network(sample.call)]
    times = replace(codes, conditions=replace(codes.conditions, dtype="int8"), samples=tuple(kept))
    calls = [sample.call for sample in kept if is_of_codes(sample.call)]
    networks = tuple(NetworkSample(f"network {i}", tuple(calls[i::4]), (1.0,)) for i in range(4))
    path = tmp_path / "kernels-1-int8-eager.json"
    path.write_text(to_json(replace(times, networks=networks)))
    both = replace(target, kernel_files=(*target.kernel_files, path))
    found = predict(both, [(QUANTISED,), (rounding((1, 64, 28, 28), back=True),)])
    assert found.missing == ({}, {})
    # By the law with the file's own kernels, and the call.
    law = law_s(QUANTISED) + 2e-6
    assert found.layers[0] == pytest.approx((law, law / 1.2, law * 1.2))
    assert any("networks timed on" in note and "quint8" in note for note in found.notes)


def test_without_times_the_model_says_how_to_get_them():
    target = load_target("amd-zen4")
    assert "addercost calibrate --kernels" in why_or_model(target)


def why_or_model(target):
    return cost_model_named("calibrated").unusable(target)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param({"working_cores": 4}, "--threads 4", id="cores"),
        pytest.param({"kernel_layout": "channels-last"}, "--layout channels-last", id="layout"),
    ],
)
def test_the_refusal_says_how_to_time_what_is_missing(target, change, text):
    assert f"calibrate --kernels {text}`" in why_unusable(replace(target, **change))


def test_of_several_files_the_one_for_these_cores_is_used(tmp_path, target, trace):
    times = made_times(60)
    files = []
    for threads, factor in ((1, 1), (4, 3)):
        found = replace(
            times,
            conditions=replace(times.conditions, threads=threads),
            samples=tuple(
                replace(
                    s, near_s=tuple(factor * t for t in s.near_s), far_s=tuple(factor * t for t in s.far_s)
                )
                for s in times.samples
            ),
            networks=tuple(replace(n, seconds=tuple(factor * t for t in n.seconds)) for n in times.networks),
        )
        files.append(tmp_path / f"kernels-{threads}.json")
        files[-1].write_text(to_json(found))
    both = replace(target, kernel_files=tuple(files))
    one = estimate(count(trace), both, "calibrated").seconds
    four = estimate(count(trace), replace(both, working_cores=4), "calibrated").seconds
    assert four == pytest.approx(3 * one)


def test_a_kernel_far_beyond_what_was_timed_is_named(target):
    """A convolution of a hundred times the sites of the largest that is drawn."""
    from addercost.measure.kernel_times.draw import MOST_SITES, convolution_call

    x, w = Operand((1, 512, 620, 620), "float32"), Operand((512, 512, 3, 3), "float32", True)
    call = convolution_call(x, w, None, 1, 1, 1, 1)
    assert sizes_of(call).sites > 400 * MOST_SITES
    found = cost_model_named("calibrated").predict(target, [(call,)])
    (note,) = [text for text in found.notes if "extrapolated" in text]
    assert "times more than the most" in note


def test_shares_of_layers_add_up_to_the_network_and_its_ends(target, trace):
    """So a sweep, which has each kind of layer once, sums to what a profile says."""
    kernels = [tuple(call for _, call in kernel_calls(layer.calls)) for layer in count(trace).layers]
    found = cost_model_named("calibrated").predict(target, kernels)
    cost = estimate(count(trace), target, "calibrated")
    assert found.total.value == pytest.approx(cost.seconds)
    sums = [sum(ends) for ends in zip(*found.shares, strict=True)]
    assert sums == pytest.approx([cost.seconds, *cost.interval_s])


def test_a_sweep_of_predicted_layers_sums_to_what_a_profile_says(target, trace):
    """One network that has each layer once: its cycles and the ends of its interval."""
    layers = count(trace).layers
    kinds = [kind_of(layer, Parts(kernels=True)) for layer in layers]
    costs = layer_costs(layer_table(kinds), [target], "calibrated")
    found = costs.networks(np.ones((1, len(kinds))))
    cost = estimate(layers, target, "calibrated")
    assert costs.complete.all() and costs.intervals.far.weights.sum() > 0
    assert found.cycles[0, 0] == pytest.approx(cost.seconds * target.clock_hz)
    assert (found.low_s[0, 0], found.high_s[0, 0]) == pytest.approx(cost.interval_s)


def test_a_layer_of_a_sweep_that_cannot_be_predicted_is_incomplete_in_its_row_alone(target, trace):
    layers = count(trace, what_if=["int8"]).layers[:1] + count(trace).layers[:1]
    kinds = [kind_of(layer, Parts(kernels=True)) for layer in layers]
    assert layer_costs(layer_table(kinds), [target], "calibrated").complete[:, 0].tolist() == [False, True]
