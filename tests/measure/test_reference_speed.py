"""The machine's speed beside what is timed, on scripted machines of one and two speeds."""

import json
import math
import random
import statistics
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scripted_machine import QUIET_S, ScriptedMachine

from addercost.errors import CheckFailedError, DataError, OutputError
from addercost.hardware.this_machine import processor_id
from addercost.measure.speed import fixed_work, reference
from addercost.measure.speed.quiet_times import keep_quiet_time, quiet_times_file, read_quiet_times
from addercost.measure.speed.reference import (
    CONFIRMATIONS,
    FIRST_S,
    LONG_S,
    NEARLY,
    WITHIN,
    enough_quiet,
    too_noisy,
)

SLOW = 1.65


def between(start, end, slow=SLOW):
    """A machine that is `slow` from `start` to `end`."""
    return lambda t: slow if start <= t < end else 1.0


def test_a_quiet_block_is_kept_at_once_with_a_factor_of_one():
    machine = ScriptedMachine()
    speed = machine.speed()
    block = speed.quiet_block(machine.run(1e-3))
    assert block.value == pytest.approx(1e-3)
    assert speed.is_quiet(block)
    assert speed.factor(block) == pytest.approx(1)
    assert machine.references == 2
    assert machine.slept_s == 0


def test_a_block_in_a_slow_spell_is_run_again_until_the_spell_is_over():
    machine = ScriptedMachine(between(0, 0.1))
    speed = machine.speed()
    block = speed.quiet_block(machine.run(1e-3))
    assert speed.is_quiet(block)
    assert block.value == pytest.approx(1e-3), "not the 1.65 ms of the slow spell"
    assert machine.t > 0.1


@pytest.mark.parametrize(
    ("start", "end"),
    [
        # References take 0.32 ms, blocks 1 ms; the block is of 0.32 to 1.32 ms.
        pytest.param(0, 0.3e-3, id="only-before"),
        pytest.param(1.2e-3, 9, id="only-after"),
    ],
)
def test_a_change_of_speed_during_a_block_shows_on_one_side(start, end):
    machine = ScriptedMachine(between(start, end))
    speed = machine.speed()
    block = speed.block(machine.run(1e-3))
    assert not speed.is_quiet(block)
    assert speed.factor(block) == pytest.approx((1 + SLOW) / 2)


def test_after_a_pause_products_run_before_the_reference_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A core that has just woken up is slow for a while."""
    products = []
    real = torch.mm
    monkeypatch.setattr(torch, "mm", lambda *a, **k: products.append(1) or real(*a, **k))
    monkeypatch.setattr(fixed_work, "PAUSE_S", math.inf)
    seconds = fixed_work._products_and_calls(time.perf_counter_ns)
    seconds()
    numbers = []
    for pause in (math.inf, -1.0):
        monkeypatch.setattr(fixed_work, "PAUSE_S", pause)
        monkeypatch.setattr(fixed_work, "WARM_UP_S", 0.02)
        products.clear()
        seconds()
        numbers.append(len(products))
    assert numbers[0] == fixed_work.PRODUCTS + 1 < numbers[1]


def test_a_machine_that_stays_slow_gives_the_block_and_its_factor():
    machine = ScriptedMachine(lambda t: SLOW)
    speed = machine.speed()
    block = speed.quiet_block(machine.run(1e-3), limit_s=1.0)
    assert not speed.is_quiet(block)
    assert speed.factor(block) == speed.usual_factor == pytest.approx(SLOW)
    assert block.value / speed.factor(block) == pytest.approx(1e-3), (
        "scaled, it is what the quiet machine takes"
    )
    assert 1.0 <= machine.t < 1.0 + reference.LONGEST_PAUSE_S + 5e-3
    assert speed.quiet_s == QUIET_S, "a busy hour does not pass for a quiet one"


@pytest.mark.parametrize("tries", [1, 3], ids=["one-try", "three-tries"])
def test_tries_are_limited(tries):
    machine = ScriptedMachine(lambda t: SLOW)
    runs = []
    machine.speed().quiet_block(lambda: runs.append(1), limit_s=math.inf, tries=tries)
    assert len(runs) == tries


def test_of_blocks_that_are_all_slow_the_least_slow_is_returned():
    machine = ScriptedMachine(glitches=[QUIET_S * f for f in (1.5, 1.5, 1.3, 1.3, 1.4, 1.4)])
    speed = machine.speed()
    block = speed.quiet_block(machine.run(1e-3), tries=3)
    assert speed.factor(block) == pytest.approx(1.3)


def test_the_reference_after_a_block_is_the_one_before_the_next():
    machine = ScriptedMachine()
    speed = machine.speed()
    one, two = speed.block(machine.run(1e-3)), speed.block(machine.run(1e-3))
    assert machine.references == 3
    assert two.before_s == one.after_s
    machine.sleep(2 * reference.REUSED_S)
    speed.block(machine.run(1e-3))
    assert machine.references == 5


def test_the_first_quiet_time_is_one_that_several_references_agree_on():
    """The first ten show a slow machine, and then there is one glitch of a timer."""
    machine = ScriptedMachine(glitches=[SLOW * QUIET_S] * 10 + [QUIET_S / 10])
    found = []
    speed = machine.speed(None, found.append)
    assert speed.quiet_s == found[-1] == pytest.approx(QUIET_S)
    assert machine.t >= FIRST_S


@pytest.mark.parametrize(
    ("glitches", "replaced"),
    [
        pytest.param(CONFIRMATIONS - 1, False, id="glitches"),
        pytest.param(CONFIRMATIONS, True, id="shorter"),
    ],
)
def test_only_a_confirmed_shorter_time_replaces_the_quiet_one(glitches, replaced):
    machine = ScriptedMachine(glitches=[QUIET_S / 2] * glitches)
    found = []
    speed = machine.speed(found=found.append)
    for _ in range(50):
        speed.block(machine.run(1e-3))
    assert speed.quiet_s == (QUIET_S / 2 if replaced else QUIET_S)
    assert found == ([QUIET_S / 2] if replaced else [])


def test_noise_of_a_fraction_of_a_percent_replaces_nothing():
    rng = random.Random(1)
    machine = ScriptedMachine(lambda t: 1 + rng.uniform(-0.004, 0.004))
    found = []
    speed = machine.speed(found=found.append)
    for _ in range(500):
        speed.block(machine.run(1e-3))
    assert found == []


def test_blocks_that_were_quiet_by_a_time_from_a_busy_hour_are_not_once_the_quiet_time_is_known():
    machine = ScriptedMachine(between(0, 5))
    speed = machine.speed(None)
    early = speed.block(machine.run(1e-3))
    assert speed.is_quiet(early), "nothing faster was ever seen"
    machine.t = 6
    while machine.t < 6.1:
        speed.block(machine.run(1e-3))
    assert not speed.is_quiet(early)
    assert speed.factor(early) == pytest.approx(SLOW)


def test_hundreds_of_calls_on_a_machine_of_two_speeds_get_their_quiet_times():
    """Half of the time is slow, in spells of 10 to 200 ms. Calls take 5 µs to 20 ms."""
    rng = random.Random(7)
    edges = [0.0]
    while edges[-1] < 60:
        edges.append(edges[-1] + rng.uniform(0.01, 0.2))

    def factor(t):
        return SLOW if sum(edge <= t for edge in edges) % 2 else 1.0

    seconds = [10 ** rng.uniform(math.log10(5e-6), math.log10(2e-2)) for _ in range(100)]
    machine = ScriptedMachine(factor)
    speed = machine.speed()

    def repeated(one_s):
        calls = max(1, round(1e-3 / one_s))
        return lambda: statistics.fmean(machine.run(one_s)() for _ in range(calls))

    blocks = [(number, speed.quiet_block(repeated(s))) for number, s in enumerate(seconds)]
    quiet = [(number, block) for number, block in blocks if speed.is_quiet(block)]
    assert len(quiet) >= 97
    # A spell of 10 ms or longer cannot begin and end between two references of a block of 1 ms.
    assert all(block.value == pytest.approx(seconds[n], rel=1e-6) for n, block in quiet if seconds[n] < 5e-3)


@given(st.floats(1, 3), st.floats(1, 3))
def test_a_block_is_quiet_only_if_both_references_are(before, after):
    ticks = iter((before, 1.0, after))
    machine = ScriptedMachine(lambda t: next(ticks))
    speed = machine.speed()
    assert speed.is_quiet(speed.block(machine.run(1e-4))) == (max(before, after) <= WITHIN)


@pytest.mark.parametrize(
    ("often", "accepts_noise", "within"),
    [
        pytest.param(1.2, False, WITHIN, id="no noise is accepted"),
        pytest.param(1.2, True, NEARLY * 1.2, id="the speed that is often had"),
        pytest.param(1.0, True, WITHIN, id="a machine that is often quiet"),
    ],
)
def test_accepted_noise_is_what_the_machine_often_has(often, accepts_noise, within):
    """A tenth of the references is at 1.0, another at `often`, the others at 1.65."""
    machine = ScriptedMachine()
    speed = machine.speed()
    assert speed.within == WITHIN, "nothing was timed yet"
    speed.accepts_noise = accepts_noise
    for i in range(100):
        machine.factor = lambda t, i=i: {0: 1.0, 1: often}.get(i % 10, SLOW)
        speed.block(lambda: None)
        machine.t += 1
    assert speed.within == pytest.approx(within)


@pytest.mark.parametrize(
    ("limit_s", "until_s"),
    [pytest.param(60.0, 3.0, id="until the phase is over"), pytest.param(2.0, 2.0, id="until the limit")],
)
def test_a_slow_phase_is_waited_out(limit_s, until_s):
    """Quiet moments in it are shorter than the wait for several quiet references. It is not slept through."""
    machine = ScriptedMachine(lambda t: SLOW if t < 3 and t % 0.05 < 0.04 else 1.0)
    machine.speed().wait(limit_s)
    assert until_s - 0.05 <= machine.t <= until_s + 0.1
    assert machine.slept_s == 0


@pytest.mark.parametrize(
    ("quiet", "blocks", "seconds", "least", "enough"),
    [
        pytest.param(0, 9, 1e-3, 1, False, id="none"),
        pytest.param(1, 9, 1e-3, 1, True, id="one short"),
        pytest.param(3, 9, 2 * LONG_S, 1, False, id="a third of long ones"),
        pytest.param(4, 10, 2 * LONG_S, 1, True, id="two fifths of long ones"),
        pytest.param(5, 9, 1e-3, 6, False, id="fewer than wanted"),
        pytest.param(5, 5, 1e-3, 6, True, id="all"),
    ],
)
def test_how_many_quiet_blocks_are_enough(quiet, blocks, seconds, least, enough):
    assert enough_quiet(quiet, blocks, seconds, least) == enough


def test_a_refusal_says_what_was_seen_and_kept_and_how_to_go_on():
    error = too_noisy("the clock", 3, 40, 1.4137, "the table stays as it was")
    assert isinstance(error, CheckFailedError)
    assert "3 of 40 blocks were quiet" in error.message
    assert "1.41 times as long" in error.message
    assert "the table stays as it was" in error.message
    assert "give the same command again" in error.hint
    assert str(quiet_times_file()) in error.hint


def test_quiet_times_are_kept_by_machine_and_only_a_shorter_one_replaces(tmp_path):
    path = tmp_path / "addercost" / "quiet-times.json"
    assert read_quiet_times(path).seconds == {}
    for machine, seconds in (("a", 4e-5), ("b", 9e-5), ("a", 5e-5), ("b", 8e-5)):
        keep_quiet_time(path, machine, seconds)
    assert read_quiet_times(path).seconds == {"a": 4e-5, "b": 8e-5}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"schema": "addercost/quiet-times/1", "seconds": {"a": -1}}', '{"schema": "x/1"}'],
    ids=["empty", "cut", "list", "negative", "another"],
)
def test_a_damaged_file_of_quiet_times_is_one_line_with_advice(tmp_path, text):
    path = tmp_path / "quiet-times.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"quiet-times\.json") as caught:
        read_quiet_times(path)
    assert "remove the file" in caught.value.hint


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "addercost").write_text("a file")
    with pytest.raises(OutputError, match="cannot make"):
        keep_quiet_time(tmp_path / "addercost" / "x" / "quiet-times.json", "a", 1e-5)


def test_the_fixed_work_is_timed_by_the_clock_given_and_its_quiet_time_is_kept(tmp_path, monkeypatch):
    """A clock that gains 40 µs between two readings."""
    monkeypatch.setattr(reference, "FIRST_S", 0)
    path = tmp_path / "quiet-times.json"
    ticks = iter(range(0, 10**9, 40_000))
    speed = fixed_work.open_reference_speed(lambda: next(ticks), path)
    assert speed.quiet_s == pytest.approx(4e-5)
    assert json.loads(path.read_text())["seconds"] == {
        fixed_work.machine_key(fixed_work.torch.get_num_threads()): pytest.approx(4e-5)
    }


def test_a_processor_is_known_by_more_than_its_name(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text(
        "cpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nstepping\t: 1\n\ncpu family\t: 6\n"
    )
    assert processor_id(info) == "AMD EPYC 25-17-1"
    info.write_text("model name\t: Some CPU\n")
    assert processor_id(info) == "Some CPU"
