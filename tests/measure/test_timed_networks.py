"""`calibrate --kernels` times each network twice, with kernels in between, and goes on where it stopped."""

import os
import pickle
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from addercost.cli import run
from addercost.cost.calibrated.formats import in_quantised_network
from addercost.errors import DataError
from addercost.hardware.kernel_times import (
    COMPILED,
    EARLIER,
    SCHEMA,
    Conditions,
    KernelSample,
    KernelTimes,
    NetworkSample,
    to_json,
)
from addercost.measure.case import parse_case
from addercost.measure.kernel_times import measure, timed_networks
from addercost.measure.kernel_times.case_kernels import own_kernel
from addercost.measure.kernel_times.networks import RandomNetwork, random_networks, small_networks
from addercost.measure.kernel_times.timed_networks import QuantizedNetwork
from addercost.measure.kernel_times.timing import KernelRuns
from addercost.measure.separate_process import ProcessEndedError
from addercost.measure.speed.reference import ReferenceSpeed
from addercost.measure.speed.separate_timings import SeparateTimings

KERNELS = [f"kernel {i}" for i in range(8)]
NOTHING = KernelTimes(Conditions("Some Core 6-1-2", 1, "float32", "2.0"), (), ())


def network_of(name, module):
    return SimpleNamespace(name=name, made=lambda: (module, (1, 3, 8, 8)))


class Named:
    """A network whose timing takes no time and is written down."""

    def __init__(self, name, order):
        self.name, self.order = name, order

    def timed(self, speed):
        self.order.append(self.name)
        return NetworkSample(self.name, (), (1.0,))


@pytest.fixture
def order(monkeypatch):
    """The names of what is timed, in this order."""
    found = []

    def timed_kernel(call, *others):
        found.append(call)
        return KernelRuns((1.0,), (1.0,), (1.0,)), 1.0

    monkeypatch.setattr(measure, "timed_kernel", timed_kernel)
    monkeypatch.setattr(measure, "Sweeper", lambda n_bytes: None)
    monkeypatch.setattr(measure, "_drawn", lambda settings: KERNELS)
    monkeypatch.setattr(measure, "_networks", lambda settings: (Named(name, found) for name in "ab"))
    return found


def steps(before=NOTHING, now=lambda: 0.0):
    settings = measure.KernelSettings(kernels=len(KERNELS))
    speed = SimpleNamespace(within=1.0, now=now)
    return measure._measured(settings, before, speed, lambda network, speed: network.timed(speed), print)


def test_networks_follow_the_first_and_the_third_quarter_of_the_kernels(order):
    list(steps())
    assert order == [*KERNELS[:2], "a", "b", *KERNELS[2:6], "a", "b", *KERNELS[6:]]


def test_networks_follow_a_quarter_of_the_time_where_kernels_take_long(order):
    """Of 180 s each kernel takes 50: the quarters are over after one kernel and after three."""
    list(steps(now=lambda: 50.0 * sum(name in KERNELS for name in order)))
    assert order == [KERNELS[0], "a", "b", *KERNELS[1:3], "a", "b", *KERNELS[3:]]


@pytest.mark.parametrize("stopped", [1, 2, 3, 5, 9, 11], ids=lambda n: f"after {n}")
def test_a_run_that_was_stopped_times_only_what_is_left(order, stopped):
    first = steps()
    for _ in range(stopped):
        before = next(first)
    *_, after = steps(before)
    assert sorted(order) == sorted([*KERNELS, "a", "a", "b", "b"])
    assert (len(after.samples), len(after.networks)) == (8, 4)


def test_networks_of_a_file_that_has_all_kernels_are_timed_again(order):
    """Files of before have one timing of each."""
    *_, full = steps()
    order.clear()
    list(steps(replace(full, networks=full.networks[:2])))
    assert order == ["a", "b"]


@pytest.mark.parametrize(
    ("factors", "waits", "kept"),
    [
        pytest.param([1.0], 0, 1.0, id="quiet"),
        pytest.param([1.4, 1.1], 1, 1.1, id="waits for the end of a slow phase"),
        pytest.param([1.4, 1.6, 1.5], 2, 1.4, id="three times at most, the quietest is kept"),
    ],
)
def test_a_timing_of_a_slow_phase_is_made_again(factors, waits, kept):
    left, waited = list(factors), []
    speed = SimpleNamespace(within=1.2, now=lambda: 10.0, wait=waited.append)
    found = measure._timed_in_quiet(lambda: NetworkSample("a", (), (1.0,), left.pop(0)), speed, 15.0)
    assert (found.factor, waited, left) == (kept, [5.0] * waits, [])


def test_in_8_bits_quantised_networks_are_timed_before_chains_of_layers(monkeypatch):
    made = RandomNetwork("plain 0", "plain", 3e5, 0)
    monkeypatch.setattr(measure, "random_networks", lambda count, seed: [made])
    settings = measure.KernelSettings(dtype="int8", kernels=100)
    network, *chains = measure._networks(settings)
    assert network == QuantizedNetwork(made)
    assert len(chains) == measure.CHAINS
    assert not any(in_quantised_network(call) for chain in chains for call in chain.calls)
    of_networks = [in_quantised_network(call) for call in measure._drawn(settings)]
    assert 0.4 < sum(of_networks) / len(of_networks) < 0.8


def test_a_random_network_is_timed_as_it_is_quantised(monkeypatch):
    """Its kernels are those on codes, and the timing is what it was given."""
    ran = []
    monkeypatch.setattr(
        timed_networks, "timed_network", lambda run, *how: (ran.append(run()), ((2.0,), 1.5))[1]
    )
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
    made = QuantizedNetwork(network_of("small", module))
    found = made.timed(None)
    names = [call.name for call in found.calls]
    assert names == ["aten.quantize_per_tensor", "quantized.conv2d_relu", "aten.dequantize"]
    assert (found.name, found.seconds, found.factor) == ("quantised small", (2.0,), 1.5)
    assert ran[0].shape == (1, 8, 6, 6)


@pytest.mark.parametrize(("before", "refused"), [("x86", False), ("qnnpack", True)])
def test_a_file_goes_on_with_the_engine_that_timed_it(tmp_path, before, refused):
    conditions = Conditions("Some Core 6-1-2", 1, "int8", "2.0", engine="x86")
    path = tmp_path / "kernels.json"
    path.write_text(to_json(KernelTimes(replace(conditions, engine=before), (), ())))
    if refused:
        with pytest.raises(DataError, match="qnnpack"):
            measure._begun(path, conditions)
    else:
        # How much of the cache the process has may come out otherwise.
        later = replace(conditions, date="2026-12-01", last_level_cache_bytes=1 << 25)
        assert measure._begun(path, later).conditions == conditions


@pytest.mark.parametrize("schema", EARLIER)
def test_what_was_timed_in_an_earlier_way_is_put_aside(tmp_path, schema):
    conditions = Conditions("Some Core 6-1-2", 1, "float32", "2.0")
    path, said = tmp_path / "kernels.json", []
    kernel = KernelSample(own_kernel(parse_case("1,16,8,8,24,3,2,1"), "adder"), (1.0,), (1.0,), (1.0,))
    times = KernelTimes(conditions, (kernel,), (NetworkSample("a", (), (1.0,)),))
    earlier = to_json(times).replace(SCHEMA, schema)
    path.write_text(earlier)
    assert measure._begun(path, conditions, said.append) == KernelTimes(conditions, (), ())
    assert not path.exists()
    kept = tmp_path / "kernels.json.earlier"
    assert kept.read_text() == earlier and str(kept) in said[0] and len(said) == 1


def test_of_compiled_networks_no_kernels_are_drawn_and_each_is_compiled(monkeypatch):
    """Its kernels are those of the eager network, by which it is predicted."""
    settings = measure.KernelSettings(mode=COMPILED, kernels=100)
    assert measure._drawn(settings) == []
    monkeypatch.setattr(measure, "COMPILED_NETWORKS", 3)
    assert len(list(measure._networks(settings))) == 3
    ran = []
    monkeypatch.setattr(timed_networks, "compiled", lambda module: lambda x: ran.append(module) or module(x))
    monkeypatch.setattr(timed_networks, "timed_network", lambda run, *how: (run(), (1.0,), 1.0)[1:])
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    made = network_of("plain 0", module)
    sample = timed_networks.CompiledNetwork(made, torch.float32).timed(None)
    assert ran == [module] and sample.name == "compiled plain 0"
    assert [call.op for call in sample.calls] == ["aten.convolution.default", "aten.relu.default"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(("--mode", "fast"), "unknown mode 'fast'", id="unknown"),
        pytest.param(("--mode", "compiled", "--layout", "contiguous"), "leave --layout out", id="layout"),
        pytest.param(("--mode", "compiled", "--dtype", "int8"), "leave int8 out", id="int8"),
        pytest.param(("--mode", "compiled"), "add --kernels", id="no kernels"),
    ],
)
def test_a_mode_that_cannot_be_timed_is_refused_in_one_line(options, said, capsys):
    kernels = () if said == "add --kernels" else ("--kernels",)
    assert run(["calibrate", *kernels, *options]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.parametrize("dtype", ["fp32", "int8"])
def test_networks_and_chains_are_timed_in_processes_of_their_own(dtype):
    """What is sent is small, and the machine's speed comes back."""
    found = list(measure._networks(measure.KernelSettings(dtype=dtype, kernels=100)))
    assert max(len(pickle.dumps(network)) for network in found) < 20_000
    processes = SeparateTimings(lambda network, seen_s: ((network.name, os.getpid()), (*seen_s, 3.0)))
    speed = ReferenceSpeed(lambda: 1.0, 1.0)
    try:
        timings = [processes.time(network, speed) for network in (found[0], found[-1])]
    finally:
        processes.close()
    assert [name for name, _ in timings] == [found[0].name, found[-1].name]
    assert len({pid for _, pid in timings} | {os.getpid()}) == 3
    assert speed.seen_s == (3.0, 3.0)


def test_a_network_whose_process_ends_is_left_out_and_named(order):
    said = []

    def time_network(network, speed):
        if network.name == "a":
            raise ProcessEndedError("its process exited with 7")
        return network.timed(speed)

    settings = measure.KernelSettings(kernels=len(KERNELS))
    speed = SimpleNamespace(within=1.0, now=lambda: 0.0)
    *_, found = measure._measured(settings, NOTHING, speed, time_network, said.append)
    assert [network.name for network in found.networks] == ["b", "b"]
    assert "a is left out: its process exited with 7" in said


def test_a_random_network_is_the_same_whenever_it_is_made():
    """Its sizes follow from its name and the seed, not from the networks before it."""
    networks = list(random_networks(18, 0))
    assert [str(network.made()[0]) for network in networks[3:5]] == [
        str(network.made()[0]) for network in list(random_networks(18, 0))[3:5]
    ]
    module, shape = networks[0].made()
    assert module(torch.zeros(shape)).shape == (1, 1000)
    weights = sum(parameter.numel() for parameter in module.parameters())
    assert 0.3 < weights / networks[0].weights < 10
    assert str(networks[0].made()[0]) != str(next(random_networks(18, 1)).made()[0])


def test_small_networks_are_among_the_random_ones():
    """Every fifth network is followed by one; their calls take a large share of their time."""
    names = [network.name for network in measure._networks(measure.KernelSettings())]
    assert len(names) == measure.NETWORKS + measure.NETWORKS // measure.SMALL_EVERY == 64
    assert [names.index(f"small {i}") for i in range(10)] == [5 + 6 * i for i in range(10)]
    for network in list(small_networks(10, 0))[::4]:
        module, shape = network.made()
        assert module(torch.zeros(shape)).shape == (1, 10)
        assert 2e4 < sum(parameter.numel() for parameter in module.parameters()) < 1e6
