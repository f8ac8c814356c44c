"""Calibration on loops whose clock is a script: what is measured, and what is done about noise."""

import itertools
import re
from collections.abc import Sequence
from typing import ClassVar

import pytest
from host_cores import AVX2, AVX512, set_host
from scripted_machine import ScriptedMachine

from addercost.errors import CheckFailedError
from addercost.measure.host import calibrate as calibration_module
from addercost.measure.host.calibrate import (
    Calibration,
    ports_text,
)
from addercost.measure.host.calibrate import (
    calibrate as calibrate_host,
)
from addercost.measure.host.chains import UNROLL
from addercost.measure.host.loops import vectors_of
from addercost.measure.host.memory_bandwidth import Bandwidth
from addercost.measure.host.sampling import GROUP, SAMPLES, Sampler
from addercost.measure.host.x86_instructions import x86_probes
from addercost.measure.host.x86_loops import x86_loops


class ScriptedLoops:
    """Compiled loops on a clock of 2 GHz. The instruction of probe i has a latency of i + 1 cycles, one
    starts every half cycle where none waits for another. The first two share all units, the third has its
    own. A step of an inner loop takes 0.75 cycles.
    """

    steps: ClassVar[dict[str, int]] = {}

    def __init__(self, ir):
        self.steps |= {
            name: ir.split(f"@{name}(")[1].split("\n}")[0].count('asm sideeffect "v')
            for name in re.findall(r"@(mix\d+_\d+)\(", ir)
        }

    def loop(self, name):
        return name

    def inner_loop(self, name):
        return lambda inputs, weights, n: (name, n)

    def reader(self):
        return None

    @classmethod
    def seconds(cls, name, rounds):
        if callable(name):
            _, rounds = name(rounds)
            return rounds * 16 * 0.75 / 2e9
        kind, number = re.match(r"([a-z]+)(.*)$", name).groups()
        if kind == "mix":
            # Both take half of the round; together all of it, or half where they share nothing.
            return rounds * cls.steps[name] * (0.5 if number == "0_1" else 0.25) / 2e9
        cycles = {"clock": 1.0, "independent": 0.5}.get(kind) or int(number) + 1
        return rounds * UNROLL * cycles / 2e9


def scripted(monkeypatch, machine: ScriptedMachine, factors: Sequence[float] = (1.0,)) -> Calibration:
    """A calibration on loops whose seconds pass on the clock of `machine`. factors: how many times as long
    each run of a loop takes, over and over.
    """
    each = itertools.cycle(factors)
    probes = [probe for probe in x86_probes(AVX2) if probe.op in ("fp32_add", "fp32_max", "xor")][:3]
    loops = [loop for loop in x86_loops(AVX512 | {"avx512vl"}) if loop.name == "adder"][:1]
    assert vectors_of(loops[0]) == 16

    def seconds(loop, rounds):
        took = ScriptedLoops.seconds(loop, rounds) * machine.factor(machine.t) * next(each)
        machine.t += took
        return took

    set_host(monkeypatch, AVX2)
    for name, value in {
        "host_probes": lambda features: probes,
        "host_loops": lambda features: loops,
        "Compiled": ScriptedLoops,
        "thread_seconds": seconds,
        "instruction_set": lambda: "x86-64",
        "bandwidths": lambda *given, **guard: {"L1": Bandwidth((4e9,) * 7, (8e9,) * 7)},
        "operator_call_sample": lambda: machine.run(1e-6),
        "wake_up_sample": lambda threads: lambda: 5e-6,
    }.items():
        monkeypatch.setattr(calibration_module, name, value)
    return calibrate_host(speed=machine.speed())


def test_calibrate_measures_latency_on_one_chain_throughput_on_many_and_what_is_shared_in_mixes(monkeypatch):
    found = scripted(monkeypatch, ScriptedMachine())
    assert [r.latency_cycles.median for r in found.results] == pytest.approx([1, 2, 3])
    assert [r.reciprocal_throughput_cycles.median for r in found.results] == pytest.approx([0.5] * 3)
    assert [r.ports for r in found.results] == ["V0|V1", "V0|V1", "V2|V3"]
    assert found.clock_hz.median == pytest.approx(2e9)
    (loop,) = found.loops
    assert loop.cycles.median == pytest.approx(0.75)
    (level,) = found.bandwidths
    assert (level.alone_bytes_per_s.median, level.together_bytes_per_s.median) == (4e9, 8e9)
    assert found.operator_call_s.median == pytest.approx(1e-6)
    assert found.factor == pytest.approx(1)


def test_a_machine_of_two_speeds_is_measured_in_its_quiet_moments(monkeypatch):
    """Slow for 20 of every 50 ms, in a way that lengthens everything but the clock that runs beside it."""
    machine = ScriptedMachine(lambda t: 1.65 if t % 0.05 < 0.02 else 1.0)
    found = scripted(monkeypatch, machine)
    assert [r.latency_cycles.median for r in found.results] == pytest.approx([1, 2, 3])
    assert found.clock_hz.median == pytest.approx(2e9), "not the slower clock"
    assert found.operator_call_s.median == pytest.approx(1e-6)


def test_a_guest_that_shares_the_core_for_less_than_a_sample_changes_nothing(monkeypatch):
    """Every third run takes 2.5 times as long, and no reference shows it."""
    found = scripted(monkeypatch, ScriptedMachine(), (1.0, 1.0, 2.5))
    assert [r.latency_cycles.median for r in found.results] == pytest.approx([1, 2, 3])
    assert [r.latency_cycles.spread for r in found.results] == pytest.approx([0, 0, 0], abs=1e-9)
    (loop,) = found.loops
    assert loop.cycles.median == pytest.approx(0.75)
    assert found.clock_hz.median == pytest.approx(2e9)


def test_ports_as_a_table_has_them():
    assert ports_text(1.0, frozenset({1, 0}), "V") == "V0|V1"
    assert ports_text(5.99, frozenset({2}), "V") == "5.990*V2"


def test_samples_that_agree_are_kept_and_those_of_before_forgotten():
    machine = ScriptedMachine()
    noisy = itertools.cycle([1.0, 3.0])
    stream = itertools.chain((next(noisy) for _ in range(SAMPLES)), itertools.repeat(2.0))
    found = Sampler(machine.speed(), sleep=machine.sleep).calm(lambda: next(stream), "it")
    # Agreement is of the quartiles: the last noisy ones may be outside of them.
    assert found.median == 2.0
    assert found.samples.count(2.0) >= SAMPLES // 2


def test_samples_of_moments_that_were_not_quiet_are_left_out():
    machine = ScriptedMachine(lambda t: 1.65 if t < 0.5 else 1.0)
    found = Sampler(machine.speed(), sleep=machine.sleep).calm(machine.run(1e-3), "it")
    assert found.samples == pytest.approx((1e-3,) * SAMPLES)


def test_figures_are_taken_at_a_lower_clock_but_not_beside_another_guest():
    lower_clock, shared = ScriptedMachine(lambda t: 1.15), ScriptedMachine(lambda t: 1.27)
    sampler = Sampler(lower_clock.speed(), sleep=lower_clock.sleep)
    assert sampler.calm(lambda: 2.0, "it").median == sampler.quiet(lambda: 2.0, "it") == 2.0
    for take in (Sampler.calm, Sampler.quiet):
        sampler = Sampler(shared.speed(), limit_s=1.0, sleep=shared.sleep)
        with pytest.raises(CheckFailedError):
            take(sampler, shared.run(1e-3), "it")


def test_an_interrupted_run_does_not_decide_how_many_rounds_a_sample_has(monkeypatch):
    """A round takes a microsecond. Every second run is interrupted for a millisecond."""
    interruptions = itertools.cycle([1e-3, 0.0])
    monkeypatch.setattr(
        calibration_module, "thread_seconds", lambda loop, rounds: rounds * 1e-6 + next(interruptions)
    )
    assert calibration_module._rounds(lambda rounds: None, 40e-6) == 40


@pytest.mark.parametrize(
    ("factor", "noise", "said"),
    [
        pytest.param(1.65, [1.0], "it is too noisy: 0 of ", id="never-quiet"),
        pytest.param(1.0, [1.0, 1.2], "it (quartiles 20% apart) is too noisy: ", id="samples-that-differ"),
    ],
)
def test_lasting_noise_is_refused_with_what_was_seen_and_advice(factor, noise, said):
    machine = ScriptedMachine(lambda t: factor)
    stream = itertools.cycle(noise)

    def sample():
        machine.t += 1e-3
        return next(stream)

    with pytest.raises(CheckFailedError) as caught:
        Sampler(machine.speed(), limit_s=2.0, sleep=machine.sleep).calm(sample, "it")
    assert caught.value.message.startswith(said)
    assert f"{factor:.2f} times as long as on the quiet machine" in caught.value.message
    assert "a table of before stays as it was" in caught.value.message
    assert "give the same command again" in caught.value.hint
    assert 2.0 <= machine.t < 2.2, "the time limit"


def test_a_sample_that_other_programs_lengthen_waits_for_a_moment_without_them():
    """By processor time the machine is quiet all along; by all time only after 0.3 s."""
    machine = ScriptedMachine(lambda t: 3.0 if t < 0.3 else 1.0)
    quiet = ScriptedMachine()
    sampler = Sampler(quiet.speed(), machine.speed(), sleep=machine.sleep)
    assert sampler.quiet(machine.run(1e-3), "it") == pytest.approx(1e-3)


def test_bandwidths_beside_other_programs_are_refused():
    machine = ScriptedMachine(lambda t: 3.0)
    sampler = Sampler(ScriptedMachine().speed(), machine.speed(), limit_s=1.0, sleep=machine.sleep)
    with pytest.raises(
        CheckFailedError, match="the bandwidth of L2 is too noisy: 0 of 1 blocks were quiet"
    ) as caught:
        sampler.quiet(machine.run(1e-3), "the bandwidth of L2")
    assert "3.00 times as long" in caught.value.message


def test_one_outlier_is_not_noise():
    machine = ScriptedMachine()
    samples = iter([2.0] * (SAMPLES - 1) + [50.0])
    assert Sampler(machine.speed()).calm(lambda: next(samples), "it").median == 2.0
    assert SAMPLES % GROUP == 0
