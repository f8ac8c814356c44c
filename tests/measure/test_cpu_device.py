"""The processor as a device, its files and clocks replaced where what they say matters."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from addercost.errors import ArgumentError
from addercost.hardware.this_machine import governor
from addercost.measure.devices import cores, cpu, waiting
from addercost.measure.devices.cpu import CpuDevice
from addercost.measure.devices.process_memory import available_bytes
from addercost.measure.host import loop_rate


@pytest.fixture
def device():
    made = CpuDevice(1)
    yield made
    made.close()


def test_threads_and_cores_are_put_back() -> None:
    threads = torch.get_num_threads()
    allowed = os.sched_getaffinity(0)
    made = CpuDevice(1)
    assert torch.get_num_threads() == 1
    assert len(os.sched_getaffinity(0)) == 1 or made.facts.environment["pinned"] == "no"
    made.close()
    assert torch.get_num_threads() == threads and os.sched_getaffinity(0) == allowed


def test_the_idlest_cores_are_taken(monkeypatch) -> None:
    """Idle ticks gained: core 0 none, core 1 five, core 2 two."""
    looks = iter([{0: 10, 1: 10, 2: 10}, {0: 10, 1: 15, 2: 12}])
    monkeypatch.setattr(cores, "_idle_ticks", lambda: next(looks))
    monkeypatch.setattr(cores, "LOOK_S", 0)
    assert cores.idlest((0, 1, 2), 2) == (1, 2)


def test_no_look_where_all_cores_are_needed(monkeypatch) -> None:
    monkeypatch.setattr(cores, "_idle_ticks", lambda: pytest.fail("looked"))
    assert cores.idlest((0, 1), 2) == (0, 1)


def test_idle_ticks(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu 1 2 3 4 5\ncpu0 1 2 3 40 5\ncpu11 1 2 3 41 5\nintr 9\n")
    assert cores._idle_ticks(stat) == {0: 40, 11: 41}
    assert cores._idle_ticks(tmp_path / "none") == {}


def test_an_interrupted_sample_is_taken_again_whatever_its_value(device: CpuDevice, monkeypatch) -> None:
    """The first two are cut into, by the count of interruptions; the third is kept."""
    values = iter([1e-3, 4e-3, 3e-3, 2e-3])
    counts = iter([0, 1, 1, 2, 2, 2])
    monkeypatch.setattr(device, "_once", lambda call, calls, cold: next(values))
    monkeypatch.setattr(cpu, "interruptions", lambda: next(counts))
    assert device.sample(lambda: None, 1, False) == 3e-3


def test_a_machine_that_always_interrupts_still_gives_a_sample(device: CpuDevice, monkeypatch) -> None:
    values, counts = iter(n * 1e-4 for n in range(100)), iter(range(100))
    monkeypatch.setattr(device, "_once", lambda call, calls, cold: next(values))
    monkeypatch.setattr(cpu, "interruptions", lambda: next(counts))
    assert device.sample(lambda: None, 1, False) == pytest.approx((cpu.MOST_TRIES - 1) * 1e-4)


@pytest.mark.parametrize(("cold", "flushes"), [(True, 3), (False, 0)], ids=["cold", "warm"])
def test_cold_samples_flush_before_each_call_and_leave_that_out(
    device: CpuDevice, monkeypatch, cold: bool, flushes: int
) -> None:
    """A clock that moves 100 in a flush and 7 in a call."""
    now, done = [0], []

    def flush() -> None:
        done.append(len(calls))
        now[0] += 100

    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        now[0] += 7

    monkeypatch.setattr(device, "_now", lambda: now[0])
    monkeypatch.setattr(device, "_flush", flush)
    assert device._once(call, 3, cold) == pytest.approx(7e-9)
    assert len(done) == flushes
    assert done == list(range(flushes))


def test_a_flush_is_twice_the_last_cache(device: CpuDevice) -> None:
    device._flush()
    assert device._flushed is not None
    assert device._flushed.numel() * 4 >= 2 * device.facts.cache_bytes


@pytest.mark.parametrize(("threads", "clock"), [(1, "processor time of the process"), (2, "wall clock")])
def test_the_clock_follows_the_threads(threads: int, clock: str, monkeypatch) -> None:
    monkeypatch.setattr(cpu, "allowed_cores", lambda: (0, 1))
    monkeypatch.setattr(cpu, "pin", lambda cores: ())
    made = CpuDevice(threads)
    made.close()
    assert made.facts.environment["clock"] == clock


def test_too_many_threads() -> None:
    with pytest.raises(ArgumentError, match="cores"):
        CpuDevice(len(cores.allowed_cores()) + 1)


def test_files_that_are_not_there_tell_nothing(tmp_path: Path) -> None:
    none = tmp_path / "none"
    assert waiting.steal_s(none) is None and waiting.waited_s(none) is None
    assert available_bytes(none) is None and governor(none) == "unknown"


def test_steal_and_waiting(tmp_path: Path) -> None:
    """Steal is the eighth figure, in ticks; the time a thread waited the second of schedstat, in ns."""
    (tmp_path / "stat").write_text("cpu  1 2 3 4 5 6 7 800 9 10\n")
    (tmp_path / "schedstat").write_text("123 4000000000 5\n")
    assert waiting.steal_s(tmp_path / "stat") == pytest.approx(800 / os.sysconf("SC_CLK_TCK"))
    assert waiting.waited_s(tmp_path / "schedstat") == pytest.approx(4.0)


def test_peak_memory_of_a_call(device: CpuDevice) -> None:
    """Two temporaries of 64 MiB at once, beyond what stood before."""
    found = device.peak_bytes(lambda: torch.ones(1 << 24).add(1).sum())
    assert found is not None
    assert 100 << 20 < found < 300 << 20


@pytest.mark.parametrize("name", ["mac", "adder", "adder_u8", "mac_u8", "xnor"])
def test_a_limit_is_measured_here(device: CpuDevice, name: str) -> None:
    """None where this processor has no instruction for it."""
    found = device.limit(name)
    assert found is None or found > 0


def test_limits_are_of_all_threads(device: CpuDevice, monkeypatch) -> None:
    """No two threads share a core, so three of them do three times as much; memory they share."""
    monkeypatch.setattr(loop_rate, "loop_sites_per_second", lambda name, seconds: 2e9)
    monkeypatch.setattr(cpu, "memory_bandwidth", lambda threads: {3: 5e9}[threads])
    device.threads = 3
    assert device.limit("adder") == 6e9
    assert device.limit("memory") == 5e9


def test_an_unknown_limit_is_none(device: CpuDevice) -> None:
    assert device.limit("mac_unheard_of") is None


def test_a_long_sample_is_not_taken_again(device: CpuDevice, monkeypatch) -> None:
    values, counts = iter([0.1, 0.2]), iter(range(100))
    monkeypatch.setattr(device, "_once", lambda call, calls, cold: next(values))
    monkeypatch.setattr(cpu, "interruptions", lambda: next(counts))
    assert device.sample(lambda: None, 1, False) == 0.1
