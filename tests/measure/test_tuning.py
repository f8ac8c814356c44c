"""The search for schedules, on a device whose clock is a script."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("halide", reason="the CPU kernels need halide")

from click.testing import CliRunner
from scripted_device import ScriptedDevice, independent

from addercost.cli.tune import tune as command
from addercost.errors import OutputError
from addercost.kernels.cpu.dense.candidates import allows
from addercost.kernels.cpu.dense.families import FAMILIES
from addercost.kernels.cpu.dense.rule import default_schedule
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.tuned import TunedLayer, family_request, read_family, this_machine
from addercost.kernels.cpu.processor import host_core
from addercost.measure.case import parse_case
from addercost.measure.tuning.layers import TunableLayer, tunable_layers
from addercost.measure.tuning.run import tune
from addercost.measure.tuning.search import best_schedule, tiles_to_time
from addercost.results.ownership import own_folder


@pytest.fixture(autouse=True)
def nothing_is_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addercost.measure.tuning.run.shipped_layers", lambda: ())


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As `addercost tune` runs. On several, rows of few filters are not joined."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


CASES = [parse_case("1,16,16,16,48,3,1,1"), parse_case("1,8,12,12,40,1,1,0"), parse_case("1,8,9,9,8,3,1,1,8")]


class Timed:
    """A layer whose time depends on the schedule, by a rule of the test's."""

    def __init__(self, layer: TunableLayer, seconds: Callable[[Schedule], float]) -> None:
        self.layer = replace(layer, run=self.run)
        self.seconds = seconds
        self.device = TimedDevice(self)

    def run(self, schedule: Schedule) -> None:
        raise AssertionError("the device only asks how long it takes")


class TimedDevice(ScriptedDevice):
    def __init__(self, timed: Timed) -> None:
        super().__init__()
        self.timed = timed
        self.schedules: list[Schedule] = []

    def sample(self, call: object, calls: int, cold: bool) -> float:
        (schedule,) = call.args  # type: ignore[attr-defined]
        self.schedules.append(schedule)
        seconds = 1e-3 * self.timed.seconds(schedule) * 2.718281828 ** next(self.noise)
        self.elapsed += seconds * calls
        return seconds


def layer(family: str = "adder") -> TunableLayer:
    (make,) = tunable_layers(CASES[:1], ["channels-last"], [family])
    return make()


def test_the_fastest_tile_is_found() -> None:
    made = layer()
    wanted = list(tiles_to_time(made.request, host_core(), default_schedule(made.request)))[-1]
    timed = Timed(made, lambda schedule: 0.8 if schedule == wanted else 1.0)
    found = best_schedule(timed.layer, timed.device)
    assert found.schedule == wanted
    assert found.ratio == pytest.approx(0.8)
    assert found.interval[0] <= 0.8 <= found.interval[1] < 1
    assert found.request == made.request


def test_where_all_take_the_same_the_rules_schedule_stays() -> None:
    timed = Timed(layer(), lambda schedule: 1.0)
    timed.device.noise = independent(random.Random(2))
    assert best_schedule(timed.layer, timed.device).schedule is None


def test_a_winner_by_luck_is_not_kept() -> None:
    made = layer()
    default = default_schedule(made.request)
    lucky = {tile: 400 for tile in tiles_to_time(made.request, host_core(), default) if tile != default}

    def seconds(schedule: Schedule) -> float:
        # Each candidate is faster at first. Timed again, none is.
        lucky[schedule] = lucky.get(schedule, 0) - 1
        return 0.9 if lucky[schedule] > 340 else 1.0

    timed = Timed(made, seconds)
    found = best_schedule(timed.layer, timed.device)
    assert any(count < 340 for count in lucky.values())
    assert found.schedule is None


def test_rows_are_joined_where_that_is_faster() -> None:
    made = layer()
    core, default = host_core(), default_schedule(made.request)
    tiles = list(tiles_to_time(made.request, core, default))
    best = tiles[0] if tiles[0] != default else tiles[1]
    changed = replace(best, joined=not best.joined)
    assert allows(made.request, core, changed)
    times = {best: 0.9, changed: 0.7}
    timed = Timed(made, lambda schedule: times.get(schedule, 1.0))
    assert best_schedule(timed.layer, timed.device).schedule == changed


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_timed_is_of_the_family_allowed_and_little(family: str) -> None:
    for make in tunable_layers(CASES, ["channels-last", "contiguous"], [family]):
        made = make()
        assert family_request(made.request).site == family
        found = list(tiles_to_time(made.request, host_core(), default_schedule(made.request)))
        assert 1 <= len(found) == len(set(found)) <= 20
        assert all(allows(made.request, host_core(), schedule) for schedule in found)


def test_depthwise_layers_have_no_schedule_and_rows_one_layout() -> None:
    linear = replace(CASES[0], linear=True, size=(1, 1), filter_size=(1, 1), padding=(0, 0))
    layers = [make() for make in tunable_layers([*CASES, linear], ["channels-last", "contiguous"], ["mac"])]
    assert [made.case for made in layers] == [CASES[0], CASES[0], CASES[1], CASES[1], linear]


def found_by(names: list[str]) -> Callable[[TunableLayer, object], TunedLayer]:
    """A search that notes what it was asked for and is interrupted where there is no name left."""

    def search(made: TunableLayer, device: object) -> TunedLayer:
        if not names:
            raise KeyboardInterrupt
        names.pop()
        return TunedLayer(family_request(made.request), None)

    return search


def test_an_interrupted_run_keeps_what_it_found_and_goes_on(tmp_path: Path) -> None:
    layers = list(tunable_layers(CASES, ["channels-last", "contiguous"], ["adder", "mac"]))
    device, said = ScriptedDevice(), []
    with pytest.raises(KeyboardInterrupt):
        tune(layers, device, tmp_path, 1.0, search=found_by([*"abc"]))
    kept = {name: read_family(tmp_path / f"{name}.json", this_machine()).layers for name in ("adder", "mac")}
    assert [len(kept[name]) for name in ("adder", "mac")] == [2, 1]
    left = tune(
        layers,
        device,
        tmp_path,
        1.0,
        said=lambda number, *_: said.append(number),
        search=found_by([*"12345"]),
    )
    assert (left, said) == (0, [4, 5, 6, 7, 8])
    assert len(read_family(tmp_path / "mac.json", this_machine()).layers) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adder.json", "mac.json"]


def test_the_minutes_end_a_run(tmp_path: Path) -> None:
    layers = list(tunable_layers(CASES, ["contiguous"], ["adder"]))
    assert tune(layers, ScriptedDevice(), tmp_path, 0.0, search=found_by([])) == len(layers)


def test_what_was_shipped_is_not_tuned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = list(tunable_layers(CASES, ["contiguous"], ["adder"]))
    shipped = [TunedLayer(family_request(make().request), None) for make in layers[:1]]
    monkeypatch.setattr("addercost.measure.tuning.run.shipped_layers", lambda: shipped)
    said: list[int] = []
    for again in (False, True):
        run = {"said": lambda number, *_: said.append(number), "search": found_by([*"12"])}
        assert tune(layers, ScriptedDevice(), tmp_path, 1.0, again, **run) == 0  # type: ignore[arg-type]
    assert said == [2, 1, 2]


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "adder.json").write_text('{"schema": "addercost/sched')
    layers = list(tunable_layers(CASES[:1], ["contiguous"], ["adder"]))
    assert tune(layers, ScriptedDevice(), tmp_path, 1.0, search=found_by(["a"])) == 0
    assert len(read_family(tmp_path / "adder.json", this_machine()).layers) == 1


def test_two_runs_do_not_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addercost.results.ownership._WAIT_S", 0.1)
    with own_folder(tmp_path), pytest.raises(OutputError, match="another call"):
        tune([], ScriptedDevice(), tmp_path, 1.0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--layouts", "nhwc"], "layout"),
        (["--kernels", "adder,sine"], "family of kernels"),
        (["--threads", "4096"], "cores"),
        (["--minutes", "0"], "--minutes"),
        (["--minutes", "nan"], "--minutes"),
    ],
)
def test_bad_arguments_are_refused(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(command, ["zoo:lenet5-bn", *arguments])
    assert result.exit_code
    assert says in result.output + str(result.exception)
