"""`calibrate --kernels` times each network twice, with kernels in between, and goes on where it stopped."""

from types import SimpleNamespace

import pytest

from addercost.hardware.kernel_times import KernelTimes, NetworkSample
from addercost.measure.kernel_times import measure
from addercost.measure.kernel_times.timing import KernelRuns

KERNELS = [f"kernel {i}" for i in range(8)]
NOTHING = KernelTimes(None, (), ())


class Named:
    """A network whose timing takes no time and is written down."""

    def __init__(self, name, order):
        self.name, self.order = name, order

    def timed(self, speed, all_speeds):
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


def steps(before=NOTHING):
    settings = measure.KernelSettings(kernels=len(KERNELS))
    return measure._measured(settings, before, SimpleNamespace(), lambda text: None)


def test_networks_follow_the_first_and_the_third_quarter_of_the_kernels(order):
    list(steps())
    assert order == [*KERNELS[:2], "a", "b", *KERNELS[2:6], "a", "b", *KERNELS[6:]]


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
    list(steps(KernelTimes(None, full.samples, full.networks[:2])))
    assert order == ["a", "b"]
