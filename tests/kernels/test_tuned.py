"""Files of tuned schedules: when they are used, and when a line says that they are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("halide", reason="the CPU kernels need halide")

from addercost.errors import DataError
from addercost.kernels.cpu.dense import convolution as dense
from addercost.kernels.cpu.dense import tuned
from addercost.kernels.cpu.dense.plan import choose_class
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.cpu.dense.rule import default_schedule
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.tuned import TunedFamily, TunedLayer, this_machine
from addercost.kernels.cpu.processor import vector_bytes
from addercost.kernels.problem import Geometry

GEOMETRY = Geometry(padding=(1, 1))
X, W = torch.randn(1, 5, 9, 11), torch.randn(70, 5, 3, 3)
REQUEST = dense.request_of("adder", X, W, GEOMETRY)
CHOSEN = Schedule(vector_bytes() // 4, 2, 3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This machine's folder in an empty cache, without the shipped files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(tuned.VARIABLE, raising=False)
    monkeypatch.setattr(tuned, "shipped_layers", lambda: ())
    monkeypatch.setattr(tuned, "_state", tuned._State())
    folder = tuned.schedules_folder()
    folder.mkdir(parents=True)
    yield folder


def family(*layers: TunedLayer) -> TunedFamily:
    return TunedFamily(this_machine(), "adder", layers)


def in_force() -> tuple[int, int]:
    """(vectors, pixels) of the kernel that a layer gets now."""
    tuned._state.checked_s = -tuned._CHECKED_EVERY_S - 1
    kernel = choose_class(REQUEST, tuned.tuned_schedules())
    return kernel.vectors, kernel.pixels


def default() -> tuple[int, int]:
    rule = default_schedule(REQUEST)
    return rule.vectors, rule.pixels


def test_a_file_that_is_written_comes_back_equal(tmp_path: Path) -> None:
    written = family(
        TunedLayer(REQUEST, CHOSEN, 0.8, (0.79, 0.81)), TunedLayer(replace(REQUEST, threads=2), None)
    )
    tuned.write_family(tmp_path / "adder.json", written)
    assert tuned.read_family(tmp_path / "adder.json", this_machine()) == written


def test_a_new_file_is_used_without_a_restart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_force() == default() != (2, 3)
    tuned.write_family(folder / "adder.json", family(TunedLayer(REQUEST, CHOSEN)))
    assert in_force() == (2, 3)
    schedules = tuned.tuned_schedules()
    assert schedules is not None and schedules.of(replace(REQUEST, site="mac")) is None
    monkeypatch.setenv(tuned.VARIABLE, "1")
    assert in_force() == default()


def test_kernels_of_a_family_share_their_schedules(folder: Path) -> None:
    tuned.write_family(folder / "mac.json", family(TunedLayer(replace(REQUEST, site="mac"), CHOSEN)))
    schedules = tuned.tuned_schedules()
    assert schedules is not None and schedules.of(replace(REQUEST, site="mac_powers")) == CHOSEN


def test_files_are_looked_at_once_a_second(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(tuned.time, "monotonic", lambda: now)
    assert tuned.tuned_schedules() is None
    tuned.write_family(folder / "adder.json", family(TunedLayer(REQUEST, CHOSEN)))
    now += 0.5
    assert tuned.tuned_schedules() is None
    now += 0.6
    assert tuned.tuned_schedules() is not None


def test_where_no_candidate_was_faster_the_rule_is_used(folder: Path) -> None:
    tuned.write_family(folder / "adder.json", family(TunedLayer(REQUEST, None)))
    assert in_force() == default()


def test_a_schedule_that_does_not_fit_the_registers_is_not_used(folder: Path) -> None:
    too_large = replace(CHOSEN, vectors=4, pixels=30)
    tuned.write_family(folder / "adder.json", family(TunedLayer(REQUEST, too_large)))
    assert in_force() == default()


def test_several_threads_use_what_was_tuned_on_one(folder: Path) -> None:
    """Two threads share the 64 pixels of a layer that reads its input in place, as two rows. On one thread it
    has one row.
    """
    x, w = torch.randn(1, 64, 8, 8), torch.randn(64, 64, 1, 1)
    x = x.contiguous(memory_format=torch.channels_last)
    before = torch.get_num_threads()
    requests = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        requests.append(dense.request_of("adder", x, w, Geometry()))
    torch.set_num_threads(before)
    one, two = requests
    assert [(r.threads, r.extents.rows, r.extents.columns) for r in requests] == [(1, 1, 64), (2, 2, 32)]
    schedules = tuned.Schedules([TunedLayer(one, CHOSEN)])
    assert schedules.of(two) == CHOSEN
    # What was tuned on two threads comes first, even if the rule was fastest there.
    assert tuned.Schedules([TunedLayer(one, CHOSEN), TunedLayer(two, None)]).of(two) is None
    assert schedules.of(replace(two, threads=3)) == CHOSEN
    assert tuned.Schedules([TunedLayer(two, CHOSEN)]).of(one) is None


def changed(path: Path, name: str, value: object) -> None:
    document = json.loads(path.read_text())
    (document if name == "schema" else document["machine"])[name] = value
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("halide", "1.0", "Halide 1.0"),
        ("addercost", "0.0.1", "addercost 0.0.1"),
        ("core", "Other 1-2", "Other 1-2"),
        ("vector_bits", 96, "96 bits"),
        ("schema", "addercost/schedules/99", "addercost/schedules/99"),
    ],
)
def test_a_file_of_another_machine_or_version_is_one_line(
    name: str, value: object, says: str, folder: Path
) -> None:
    tuned.write_family(folder / "adder.json", family(TunedLayer(REQUEST, CHOSEN)))
    changed(folder / "adder.json", name, value)
    with pytest.warns(RuntimeWarning) as caught:
        assert in_force() == default()
    (line,) = (str(warning.message) for warning in caught)
    assert says in line and "\n" not in line and "addercost tune" in line


@pytest.mark.parametrize("kept", [0, 1, 60, 200, -3], ids=lambda kept: f"{kept}-bytes")
def test_a_truncated_file_is_one_line(kept: int, folder: Path) -> None:
    path = folder / "adder.json"
    tuned.write_family(path, family(TunedLayer(REQUEST, CHOSEN)))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.warns(RuntimeWarning) as caught:
        assert in_force() == default()
    (line,) = (str(warning.message) for warning in caught)
    assert str(path) in line and "\n" not in line


def test_a_request_for_a_site_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "adder.json"
    tuned.write_family(path, family(TunedLayer(REQUEST, CHOSEN)))
    path.write_text(path.read_text().replace('"site": "adder"', '"site": "sine"'))
    with pytest.raises(DataError, match="sine"):
        tuned.read_family(path, this_machine())


@pytest.mark.parametrize(
    "path", sorted(tuned.SHIPPED.glob("*/*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_shipped_files_can_be_read(path: Path) -> None:
    found = tuned.read_family(path, None)
    assert found.layers and found.family == path.stem
    assert f"{found.machine.core} {found.machine.vector_bits}".lower().replace(" ", "-") == path.parent.name
    assert all(isinstance(layer.request, KernelRequest) for layer in found.layers)
