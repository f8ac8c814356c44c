"""Rows that were timed while the machine was slow are timed again, on a device that is a script."""

from __future__ import annotations

import math

import pytest
from bench_runs import slow_row
from scripted_device import ScriptedDevice

from addercost.measure import noise, session
from addercost.measure.journal import Journal, JournalHeading
from addercost.measure.plan import RowPlan
from addercost.measure.session import BenchSettings
from addercost.measure.speed.reference import ReferenceSpeed
from addercost.results.measurements import MeasuredRow


class Waits(ReferenceSpeed):
    """Writes down when it waits. limit: its `within`."""

    def __init__(self, limit: float, order: list[str]) -> None:
        super().__init__(lambda: 1.0, 1.0)
        self.limit, self.order = limit, order

    @property
    def within(self) -> float:
        return self.limit

    def wait(self, limit_s: float) -> None:
        self.order.append("wait")


@pytest.mark.parametrize(
    ("factors", "timings", "kept"),
    [
        pytest.param([1.0], 1, 1.0, id="a quiet row is timed once"),
        pytest.param([1.12], 1, 1.12, id="at the limit it is quiet"),
        pytest.param([1.4, 1.0], 2, 1.0, id="a slow one again"),
        pytest.param([1.4, 1.6, 1.05], 3, 1.05, id="until it is quiet"),
        pytest.param([1.4, 1.6, 1.3, 1.5, 1.0], 4, 1.3, id="at most three times more, the best is kept"),
    ],
)
def test_rows_of_slow_phases_are_timed_again(factors: list[float], timings: int, kept: float) -> None:
    left = list(factors)
    journal = Journal(JournalHeading("m", {}, {}, {}), None, {"net": slow_row("net", left.pop(0))})
    plan = RowPlan(slow_row("net", None), lambda free: (lambda: None, None))
    noise.time_slow_rows_again(
        {"net": plan}, ScriptedDevice(), journal, lambda plan: slow_row("net", left.pop(0)), 100.0
    )
    assert len(factors) - len(left) == timings
    row = journal.entries["net"]
    assert isinstance(row, MeasuredRow) and row.speed_factor == kept


def test_no_row_is_timed_again_after_the_limit() -> None:
    journal = Journal(JournalHeading("m", {}, {}, {}), None, {"net": slow_row("net", 2.0)})
    plan = RowPlan(slow_row("net", None), lambda free: (lambda: None, None))
    noise.time_slow_rows_again(
        {"net": plan}, ScriptedDevice(), journal, lambda plan: pytest.fail("timed again"), 0.0
    )


@pytest.mark.parametrize(
    ("again_s", "within", "waited"),
    [
        pytest.param(100.0, 1.2, True, id="a slow phase is waited out"),
        pytest.param(math.inf, 1.2, False, id="not without a limit"),
        pytest.param(100.0, 1.4, False, id="the row was as fast as the machine often is"),
    ],
)
def test_a_slow_row_is_timed_after_the_slow_phase(again_s: float, within: float, waited: bool) -> None:
    order: list[str] = []
    device = ScriptedDevice(speed=Waits(within, order))

    def timed(plan: RowPlan) -> MeasuredRow:
        order.append("time")
        return slow_row("net", 1.0)

    journal = Journal(JournalHeading("m", {}, {}, {}), None, {"net": slow_row("net", 1.3)})
    plan = RowPlan(slow_row("net", None), lambda free: (lambda: None, None))
    noise.time_slow_rows_again({"net": plan}, device, journal, timed, again_s)
    assert order == ["wait"] * waited + ["time"] * (within < 1.3)


@pytest.mark.parametrize("accept_noise", [True, False])
def test_the_device_accepts_noise_where_the_user_does(
    accept_noise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = ScriptedDevice()
    device.speed = ReferenceSpeed(lambda: 1.0, 1.0)
    monkeypatch.setattr(session, "run", lambda *_: None)
    session.measure("m", (), BenchSettings(cpus=()), device, accept_noise=accept_noise)
    assert device.speed.accepts_noise == accept_noise
