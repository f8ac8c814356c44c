"""`addercost bench` on a machine that is not quiet, and its check of itself, on a clock that is a script."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_runs import SHAPE, bench
from scripted_device import ScriptedDevice

from addercost.errors import CheckFailedError
from addercost.measure import self_check
from addercost.measure.journal import read_measurements
from addercost.measure.speed.reference import ReferenceSpeed
from addercost.results.journal_lines import journal_path

DEPTHWISE = f"{SHAPE},8"
"""Its kernels compile in a tenth of the time."""


def slow_speed(factors: list[float]) -> ReferenceSpeed:
    """A machine on which the reference takes these times the quiet time, the last one from then on."""
    left = list(factors)
    return ReferenceSpeed(lambda: left.pop(0) if len(left) > 1 else left[0], quiet_s=1.0)


def test_a_machine_that_is_never_quiet_is_refused_and_its_rows_are_kept(
    device: ScriptedDevice, tmp_path: Path, capsys
) -> None:
    """The reference takes 1.5 times as long beside every block: what was seen, kept, and how to go on."""
    out = tmp_path / "out.json"
    arguments = ("--conv", DEPTHWISE, "--arithmetic", "mac", "-o", str(out), "-q")
    device.speed = slow_speed([1.5])
    assert bench(*arguments) == CheckFailedError.exit_code
    shown = capsys.readouterr()
    assert "0 of " in shown.err and "1.50 times as long" in shown.err and shown.out == ""
    assert str(journal_path(out)) in shown.err and "--accept-noise" in shown.err
    rows = journal_path(out).read_text().splitlines()[1:]
    assert rows and not out.exists()
    device.speed, device.order = slow_speed([1.0]), []
    assert bench(*arguments) == 0
    assert device.order
    assert {row.speed_factor for row in read_measurements(out).rows} == {1.0}
    assert len(read_measurements(out).rows) == len(rows)


def test_the_rows_of_a_slow_machine_are_shown_where_noise_is_accepted(
    device: ScriptedDevice, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    device.speed = slow_speed([1.5])
    assert bench("--conv", DEPTHWISE, "--accept-noise", "-o", str(out), "-q") == 0
    assert {row.speed_factor for row in read_measurements(out).rows} == {1.5}


def test_without_a_document_nothing_of_a_slow_machine_is_kept_and_that_is_said(
    device: ScriptedDevice, capsys
) -> None:
    device.speed = slow_speed([1.5])
    assert bench("--conv", DEPTHWISE, "--arithmetic", "mac", "-q") == CheckFailedError.exit_code
    assert "no timing was kept, name it with -o FILE.json" in capsys.readouterr().err


@pytest.mark.exhaustive
def test_a_machine_that_passes_the_self_check(device: ScriptedDevice, monkeypatch, capsys) -> None:
    monkeypatch.setattr(self_check, "_slower", slower_by_script)
    assert bench("--self-check", "5") == 0
    text = capsys.readouterr().out
    assert "cannot tell in 5 of 5 pairs (100.0%" in text and "found in 5 of 5 pairs (100.0%" in text


@pytest.mark.exhaustive
def test_a_machine_that_does_not(device: ScriptedDevice, monkeypatch, capsys) -> None:
    """A machine whose clock does not see the slowdown."""
    monkeypatch.setattr(self_check, "_slower", lambda device: lambda call, like, share: call)
    assert bench("--self-check", "5", "-q") == 1
    found = capsys.readouterr()
    assert "found in 0 of 5 pairs (0.0%" in found.out and "not to be trusted" in found.err


def slower_by_script(device: ScriptedDevice):
    def slowed(call, like, share):
        def both() -> None:
            call()

        both.seconds = device.default_s * (1 + share)
        return both

    return slowed
