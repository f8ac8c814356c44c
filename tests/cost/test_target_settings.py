"""Settings of a target: how they are read, what they replace, and what several cores take for a layer."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import addercost
from addercost.cli import run as run_command
from addercost.cost.arrays import MANY_LAYERS
from addercost.cost.bounds import Bound, binding
from addercost.cost.columns import ONE_LAYER
from addercost.cost.shared_layers import TOO_SMALL, shared
from addercost.cost.target_registry import load_target
from addercost.cost.target_settings import TargetSettings, settings_text, split_name, with_settings
from addercost.errors import ArgumentError

A57 = load_target("cortex-a57")
PI = load_target("raspberry-pi-5")


@pytest.mark.parametrize(
    ("name", "base", "settings"),
    [
        pytest.param("a", "a", TargetSettings(), id="none"),
        pytest.param("a@1.8GHz", "a", TargetSettings(clock_hz=1.8e9), id="clock"),
        pytest.param("a@8GB/s+4cores", "a", TargetSettings(None, 8e9, 4), id="bandwidth-and-cores"),
        pytest.param("a@graphs", "a", TargetSettings(graphs=True), id="graphs"),
        pytest.param("x@y/t.toml@2cores", "x@y/t.toml", TargetSettings(cores=2), id="path-with-settings"),
        pytest.param("x@y/t.toml", "x@y/t.toml", TargetSettings(), id="path"),
        pytest.param("./t@8.toml", "./t@8.toml", TargetSettings(), id="file-name"),
    ],
)
def test_a_name_and_its_settings(name, base, settings):
    assert split_name(name) == (base, settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a@0Hz", "out of reach; give one from 1 kHz to 100 GHz", id="zero"),
        pytest.param("a@-1GHz", "out of reach", id="negative"),
        pytest.param("a@nanHz", "is no number of Hz", id="nan"),
        pytest.param("a@infHz", "is no number of Hz", id="infinite"),
        pytest.param("a@1e400Hz", "out of reach", id="overflow"),
        pytest.param("a@9THz", "out of reach", id="absurd-clock"),
        pytest.param("a@8GiB/s", "is no number of B/s", id="binary-prefix"),
        pytest.param("a@2PB/s", "out of reach", id="absurd-bandwidth"),
        pytest.param("a@1.8", "is no setting of a target", id="no-unit"),
        pytest.param("a@0cores", "is no number of cores", id="no-core"),
        pytest.param("a@1.5cores", "is no number of cores", id="half-a-core"),
        pytest.param("a@999999999999cores", "is no number of cores", id="absurd-cores"),
        pytest.param("a@1GHz+2GHz", "sets its clock_hz twice", id="twice"),
        pytest.param("a@", "is no setting", id="empty"),
    ],
)
def test_a_setting_that_is_none_is_refused(text, message):
    with pytest.raises(ArgumentError, match=message):
        split_name(text)


@given(
    clock=st.none() | st.sampled_from(["1.8GHz", "64 MHz"]),
    bandwidth=st.none() | st.sampled_from(["8GB/s", "672 MB/s"]),
    cores=st.none() | st.integers(1, 100_000),
    graphs=st.booleans(),
)
def test_what_options_write_is_read_back(clock, bandwidth, cores, graphs):
    base, found = split_name("name" + settings_text(clock, bandwidth, cores, graphs))
    assert base == "name"
    assert (found.cores, found.graphs) == (cores, graphs)
    assert (found.clock_hz is None, found.bandwidth_bytes_per_s is None) == (clock is None, bandwidth is None)


def test_settings_complete_and_override_a_table_and_are_among_the_assumptions():
    profile = addercost.profile(
        "zoo:lenet5-bn", cpus=["cortex-a57@1.5GHz+8GB/s", "raspberry-pi-5@1.2GHz"], cost_models=["roofline"]
    )
    completed, overridden = profile.estimates
    assert completed.seconds == pytest.approx(completed.cycles / 1.5e9)
    assert "clock: 1.5 GHz, given (the table has none)" in completed.assumptions
    assert "memory bandwidth: 8 GB/s, given (the table has none)" in completed.assumptions
    assert overridden.seconds == pytest.approx(overridden.cycles / 1.2e9)
    expected = "clock: 1.2 GHz, given (the table has 2.4 GHz, the sustained clock of raspberry-pi-5)"
    assert expected in overridden.assumptions


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        # One core copies 5.27 GB/s, which reads and writes 10.54; the memory gives 17 to all.
        pytest.param(1, 10.54e9, id="one"),
        pytest.param(2, 17e9, id="two-beyond-the-memory"),
        pytest.param(4, 17e9, id="all"),
    ],
)
def test_cores_draw_what_each_does_up_to_what_there_is(cores, expected):
    target = load_target(f"raspberry-pi-5@{cores}cores")
    assert target.memory_bandwidth_bytes_per_s == expected
    assert target.working_cores == target.cores == cores


def test_a_given_bandwidth_is_that_of_all_cores():
    assert load_target("raspberry-pi-5@8GB/s+4cores").memory_bandwidth_bytes_per_s == 8e9


def test_a_gpu_is_estimated_whole_and_only_a_gpu_replays_graphs():
    with pytest.raises(ArgumentError, match="estimated whole"):
        load_target("h100-sxm@4cores")
    with pytest.raises(ArgumentError, match="is no GPU"):
        load_target("amd-zen4@graphs")


def test_graphs_take_the_launches_out_and_nothing_else():
    profile = addercost.profile("zoo:lenet5-bn", cpus=["h100-sxm", "h100-sxm@graphs"])
    launched, replayed = profile.estimates
    assert (launched.model, replayed.model) == ("eager", "eager")
    # 20 µs a kernel is the default of GPUs; calls are those that the layers count.
    calls = sum(layer.runs.eager.calls for layer in profile.counts.layers)
    assert launched.seconds - replayed.seconds == pytest.approx(calls * 20e-6)


def brute_force(cycles: float, cores: int, wake: float) -> float:
    return min(cycles, cycles / cores + wake) if cycles else 0


@given(
    cycles=st.lists(st.floats(0, 1e9), min_size=1, max_size=5),
    cores=st.integers(1, 200),
    clock=st.none() | st.floats(1e6, 5e9),
)
def test_a_layer_is_shared_where_that_is_sooner(cycles, cores, clock):
    target = replace(PI, working_cores=cores, clock_hz=clock)
    wake = target.wake_up_s * (clock or 0)
    expected = [brute_force(n, cores, wake) for n in cycles]
    one_by_one = [
        binding(shared([Bound("nothing", 0.0), Bound("work", n)], target, ONE_LAYER)).cycles for n in cycles
    ]
    together = shared(
        [Bound("nothing", np.zeros(len(cycles))), Bound("work", np.array(cycles))], target, MANY_LAYERS
    )
    assert one_by_one == pytest.approx(expected, rel=1e-6, abs=1e-3)
    assert np.max([bound.cycles for bound in together], axis=0) == pytest.approx(expected, rel=1e-6, abs=1e-3)


def test_a_layer_too_small_to_share_says_so():
    target = replace(PI, working_cores=4, clock_hz=1e9, wake_up_s=5e-6)
    # Waking takes 5,000 cycles: of 4,000 nothing is won, of 40,000 the four cores leave 10,000 + 5,000.
    small = binding(shared([Bound("nothing", 0.0), Bound("work", 4000.0)], target, ONE_LAYER))
    large = binding(shared([Bound("nothing", 0.0), Bound("work", 40000.0)], target, ONE_LAYER))
    assert small == (TOO_SMALL, 4000)
    assert large == ("work", 15000)
    cost = addercost.profile(
        "zoo:lenet5-bn", cpus=["raspberry-pi-5@4cores"], cost_models=["throughput"]
    ).estimates[0]
    alone = sum(layer.bound == TOO_SMALL for layer in cost.layers)
    said = f"{alone} of {len(cost.layers)} layers are too small to share: one core computes them"
    assert alone and said in cost.assumptions


def test_several_cores_do_not_shorten_a_chain():
    one, four = addercost.profile(
        "zoo:lenet5-bn", cpus=["raspberry-pi-5", "raspberry-pi-5@4cores"], cost_models=["latency-sum"]
    ).estimates
    assert one.cycles == four.cycles
    assert any("one core alone is busy" in text for text in four.assumptions)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["--cpu", "cortex-a57", "--cost-model", "roofline"],
            "no clock and no memory bandwidth; give --clock 1.8GHz --bandwidth 8GB/s",
            id="roofline",
        ),
        pytest.param(
            ["--cpu", "nrf52840", "--cost-model", "roofline"],
            "no memory bandwidth; give --bandwidth 8GB/s",
            id="roofline-with-a-clock",
        ),
        pytest.param(["--clock", "1GHz"], "none is named", id="no-cpu"),
        pytest.param(["--graphs"], "none is named", id="no-gpu"),
        pytest.param(["--gpu", "h100"], "unknown GPU 'h100'", id="unknown-gpu"),
        pytest.param(
            ["--gpu", "h100-sxm", "--cost-model", "latency-sum"], "no latencies", id="latencies-of-a-gpu"
        ),
        pytest.param(["--cpu", "amd-zen4@1GHz", "--cores", "2"], "settings of its own", id="both-ways"),
    ],
)
def test_refusals_of_the_command_line(arguments, message, capsys):
    assert run_command(["profile", "zoo:lenet5-bn", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_python_api_refuses_the_same():
    with pytest.raises(ArgumentError, match=r"give --clock 1\.8GHz --bandwidth 8GB/s"):
        addercost.profile("zoo:lenet5-bn", cpus=["cortex-a57"], cost_models=["roofline"])


def test_a_gpu_beside_a_processor_is_what_python_says(capsys):
    arguments = "--cpu raspberry-pi-5 --cores 4 --gpu h100-sxm --graphs --cost-model throughput --format json"
    assert run_command(["profile", "zoo:lenet5-bn", *arguments.split()]) == 0
    found = {cost["hardware"]: cost["cycles"] for cost in json.loads(capsys.readouterr().out)["cost"]}
    python = addercost.profile(
        "zoo:lenet5-bn", cpus=["raspberry-pi-5@4cores", "h100-sxm@graphs"], cost_models=["throughput"]
    )
    assert found == {cost.hardware: cost.cycles for cost in python.estimates}


@pytest.mark.parametrize(
    ("setting", "settings"),
    [
        pytest.param("1kHz", TargetSettings(clock_hz=1e3), id="slowest-clock"),
        pytest.param("100GHz", TargetSettings(clock_hz=1e11), id="fastest-clock"),
        pytest.param("1kB/s", TargetSettings(bandwidth_bytes_per_s=1e3), id="least-bandwidth"),
        pytest.param("1PB/s", TargetSettings(bandwidth_bytes_per_s=1e15), id="most-bandwidth"),
        pytest.param("1cores", TargetSettings(cores=1), id="one-core"),
        pytest.param("100000cores", TargetSettings(cores=100_000), id="most-cores"),
    ],
)
def test_the_ends_of_what_is_in_reach(setting, settings):
    assert split_name(f"a@{setting}") == ("a", settings)


@pytest.mark.parametrize(
    "setting", ["999Hz", "101GHz", "999B/s", "1.1PB/s", "100001cores", "1000000001cores"]
)
def test_just_beyond_what_is_in_reach(setting):
    with pytest.raises(ArgumentError, match=r"out of reach|no number of cores"):
        split_name(f"a@{setting}")


ONE_GB, THREE_GB = 1e9, 3e9


@pytest.mark.parametrize(
    ("one", "of_all", "shares", "cores", "drawn"),
    [
        pytest.param(ONE_GB, THREE_GB, False, 2, 2e9, id="each-its-own"),
        pytest.param(ONE_GB, THREE_GB, False, 3, 3e9, id="just-all"),
        pytest.param(ONE_GB, THREE_GB, False, 4, 3e9, id="no-more-than-all"),
        pytest.param(ONE_GB, None, False, 4, 4e9, id="all-unknown"),
        pytest.param(THREE_GB, THREE_GB, True, 4, 3e9, id="one-draws-all"),
        pytest.param(None, THREE_GB, False, 4, 3e9, id="one-unknown"),
        pytest.param(None, None, False, 4, None, id="nothing-known"),
    ],
)
def test_what_so_many_cores_draw(one, of_all, shares, cores, drawn):
    target = replace(
        A57,
        memory_bandwidth_bytes_per_s=one,
        part_bandwidth_bytes_per_s=of_all,
        shares_memory_bandwidth=shares,
        cores=8,
    )
    made = with_settings(target, TargetSettings(cores=cores), "mine")
    assert made.memory_bandwidth_bytes_per_s == made.part_bandwidth_bytes_per_s == drawn
    assert (made.name, made.cores, made.working_cores) == ("mine", cores, cores)
    assert not made.shares_memory_bandwidth
    assert f"{cores} cores, given (the table has 8): each layer is shared by its output" in made.made_of
    said = [text for text in made.made_of if text.startswith("memory gives them")]
    assert len(said) == (drawn is not None)


def test_a_given_bandwidth_is_of_the_part_and_shared_by_nobody():
    target = replace(A57, memory_bandwidth_bytes_per_s=2e9, shares_memory_bandwidth=True)
    made = with_settings(target, TargetSettings(bandwidth_bytes_per_s=8e9), "mine")
    assert made.memory_bandwidth_bytes_per_s == made.part_bandwidth_bytes_per_s == 8e9
    assert not made.shares_memory_bandwidth and made.working_cores == 1
    assert made.made_of == (*target.made_of, "memory bandwidth: 8 GB/s, given (the table has 2 GB/s)")


def test_no_setting_leaves_a_target_as_it_is():
    assert with_settings(A57, TargetSettings(), "another") is A57
    assert settings_text(None, None, None) == ""
    assert settings_text("1.8 GHz", None, 2, True) == "@1.8GHz+2cores+graphs"


def test_cores_of_a_table_that_has_none_are_given():
    made = with_settings(replace(A57, cores=None), TargetSettings(cores=2), "mine")
    assert "2 cores, given: each layer is shared by its output" in made.made_of
