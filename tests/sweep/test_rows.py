"""The rows of a sweep, and those of architectures that fail."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import pytest
from sweep_spaces import TROUBLE, TROUBLE_TIMEOUT_S, WITHOUT_HANG, here, rows, space_file

from addercost.api import trace_spec
from addercost.cost.energy import estimate_energy
from addercost.cost.estimate import estimate
from addercost.cost.models import COST_MODELS
from addercost.cost.target_registry import load_target
from addercost.counts.model import ModelCounts, count
from addercost.errors import ArgumentError, ModelError
from addercost.hardware import load_energy
from addercost.hardware.kernel_times import to_json
from addercost.models.zoo import ZOO
from addercost.results.sweep_settings import SweepSettings, sweep_key
from addercost.sweep.run import plan, sweep
from tests.cost.times_by_law import made_times

CPUS = ("via-nano-2000", "amd-zen4")


@functools.cache
def counted(name: str, convention: str, arithmetic: str) -> ModelCounts:
    return count(trace_spec(f"zoo:{name}"), convention, arithmetic=arithmetic)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(name, marks=() if name in ("latency-sum", "roofline") else pytest.mark.exhaustive)
        for name, model in COST_MODELS.items()
        if model.predict is None
    ],
)
def test_rows_are_those_of_count_and_estimate(model: str, tmp_path: Path) -> None:
    # Some models need a memory bandwidth, which one of the tables lacks.
    settings = SweepSettings(
        cpus=tuple(f"{cpu}@8GB/s" for cpu in CPUS),
        energies=("45nm", "7nm"),
        arithmetics=("mac", "adder"),
        conventions=("full", "macs"),
        cost_model=model,
    )
    sweep(plan("zoo:*", settings), tmp_path / "zoo", engine=here)
    found = rows(tmp_path / "zoo")
    assert len(found) == len(ZOO) * 2 * 2 * 2 * 2
    for row in found:
        counts = counted(row["name"], row["convention"], row["arithmetic"])
        cost = estimate(counts, load_target(row["cpu"]), model)
        energy = estimate_energy(counts, load_energy(row["energy"]))
        by_class = counts.total.by_class()
        assert {key: row[key] for key in by_class} == by_class
        assert (row["mac_sites"], row["parameters"]) == (counts.mac_sites, counts.parameters)
        assert row["bytes"] == sum(layer.bytes_read + layer.bytes_written for layer in counts.layers)
        assert row["cycles"] == pytest.approx(cost.cycles, rel=1e-12)
        assert row["seconds"] == pytest.approx(cost.seconds, rel=1e-12)
        assert (row["cycles_complete"], row["energy_complete"]) == (cost.complete, energy.complete)
        assert row["energy_j"] == pytest.approx(energy.total_j, rel=1e-12)
        assert row["error"] is None


@pytest.mark.parametrize(
    "model", ["", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("throughput", "roofline"))]
)
def test_a_gpu_has_the_tiles_and_waves_of_the_estimate(model: str, tmp_path: Path) -> None:
    """With a processor beside it, which has none; by the models' own default too."""
    settings = SweepSettings(
        cpus=("h100-sxm", "raspberry-pi-5"), arithmetics=("mac", "adder"), cost_model=model
    )
    sweep(plan("zoo:*", settings), tmp_path / "zoo", engine=here)
    for row in rows(tmp_path / "zoo"):
        counts = counted(row["name"], "full", row["arithmetic"])
        cost = estimate(counts, load_target(row["cpu"]), row["cost_model"])
        assert row["cycles"] == pytest.approx(cost.cycles, rel=1e-12)
        assert row["cycles_complete"] == cost.complete


@pytest.mark.parametrize("changes", [("int8",), ("fold-bn", "prune=0.5")], ids="+".join)
def test_rows_of_changed_networks_are_those_of_their_counts(tmp_path: Path, changes: tuple[str, ...]) -> None:
    sweep(plan("zoo:lenet5*", SweepSettings(what_if=changes, batches=(1, 3))), tmp_path / "zoo", engine=here)
    found = rows(tmp_path / "zoo")
    assert found
    for row in found:
        trace = trace_spec(f"zoo:{row['name']}", batch=row["batch"])
        counts = count(trace, "full", what_if=changes)
        assert {key: row[key] for key in counts.total.by_class()} == counts.total.by_class()
        assert row["bytes"] == sum(layer.bytes_read + layer.bytes_written for layer in counts.layers)
        assert row["bytes"] != sum(n.bytes_read + n.bytes_written for n in count(trace, "full").layers)


def test_a_gpu_alone_is_swept_by_eager(tmp_path: Path) -> None:
    sweep(plan("zoo:*", SweepSettings(cpus=("rtx-3090",))), tmp_path / "zoo", engine=here)
    for row in rows(tmp_path / "zoo"):
        cost = estimate(counted(row["name"], "full", "mac"), load_target("rtx-3090"))
        assert (row["cost_model"], cost.model) == ("eager", "eager")
        assert row["seconds"] == pytest.approx(cost.seconds, rel=1e-12)


def test_rows_by_timed_kernels_are_those_of_the_estimate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine of its own, whose table and kernels are in the user's cache folder."""
    folder = tmp_path / "addercost"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shutil.copy(Path(__file__).parents[2] / "reports/amd-zen4/host.toml", folder)
    (folder / "kernels-1.json").write_text(to_json(made_times(150, "AMD EPYC 25-17-1")))
    settings = SweepSettings(cpus=("host",), cost_model="calibrated", batches=(1, 3))
    first = sweep_key(settings, "", 1)
    sweep(plan("zoo:*", settings), tmp_path / "zoo", engine=here)
    found = rows(tmp_path / "zoo")
    assert len(found) == 2 * len(ZOO)
    for row in found:
        if row["batch"] == 1:
            counts = counted(row["name"], "full", "mac")
            cost = estimate(counts, load_target("host"), "calibrated")
            assert row["seconds"] == pytest.approx(cost.seconds, rel=1e-6)
            assert (row["seconds_low"], row["seconds_high"]) == pytest.approx(cost.interval_s, rel=1e-9)
            assert row["cycles_complete"]
    # Other times give other rows, so shards of the two are never mixed.
    (folder / "kernels-1.json").write_text(to_json(made_times(160, "AMD EPYC 25-17-1")))
    assert sweep_key(settings, "", 1) != first


def test_a_batch_is_the_batch(tmp_path: Path) -> None:
    """Sites are proportional to the batch; parameters are not."""
    sweep(plan("zoo:resnet20*", SweepSettings(batches=(1, 8))), tmp_path / "zoo", engine=here)
    one, eight = rows(tmp_path / "zoo")
    assert eight["mac_sites"] == 8 * one["mac_sites"] == 8 * 40_813_184
    assert eight["parameters"] == one["parameters"]


def test_no_hardware_counts_only(tmp_path: Path) -> None:
    sweep(plan("zoo:lenet5*", SweepSettings()), tmp_path / "zoo", engine=here)
    (row,) = rows(tmp_path / "zoo")
    assert (row["cpu"], row["cycles"], row["energy"], row["energy_j"]) == (None, None, None, None)


def test_energies_with_levels_of_memory(tmp_path: Path) -> None:
    settings = SweepSettings(energies=("45nm",), memories=("dram", "sram 8 KiB"))
    sweep(plan("zoo:lenet5*", settings), tmp_path / "zoo", engine=here)
    for row in rows(tmp_path / "zoo"):
        counts, table = counted(row["name"], "full", "mac"), load_energy(row["energy"])
        with_memory = estimate_energy(counts, table, memories=settings.memories)
        assert row["energy_j"] == pytest.approx(with_memory.total_j, rel=1e-12)
        assert with_memory.total_j > with_memory.arithmetic_j


def test_facts_are_columns(tmp_path: Path) -> None:
    text = """
import torch
from torch import nn
x = torch.empty(1, 2)
architectures = [
    ("a", lambda: nn.Linear(2, 2), x, {"accuracy": 91.5, "cycles": 3}),
    ("b", lambda: nn.Linear(2, 3), x, {"family": "=cmd"}),
    ("c", lambda: 1 / 0, x, {"accuracy": 12}),
]
"""
    sweep(plan(space_file(tmp_path, text), SweepSettings()), tmp_path / "out", engine=here)
    a, b, c = rows(tmp_path / "out", "SELECT name, accuracy, fact_cycles, family FROM sweep ORDER BY name")
    assert (a["accuracy"], a["fact_cycles"], a["family"]) == (91.5, 3, None)
    assert (b["accuracy"], b["family"]) == (None, "=cmd")
    assert c["accuracy"] == 12


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("chunk", "text"), [(1, WITHOUT_HANG), (100, TROUBLE)], ids=["a chunk each", "in one chunk"]
)
def test_every_trouble_is_a_row_of_its_own(tmp_path: Path, chunk: int, text: str) -> None:
    """One hangs, one kills its process, one eats memory: the others have their rows."""
    what = plan(space_file(tmp_path, text), SweepSettings(chunk=chunk))
    report = sweep(
        what, tmp_path / "out", engine=here, timeout_s=TROUBLE_TIMEOUT_S, memory_limit_bytes=1 << 30
    )
    found = {(row["name"], row["error"] is None): row for row in rows(tmp_path / "out")}
    errors = {name: row["error"] for (name, whole), row in found.items() if not whole}
    assert {name for name, whole in found if whole} == {"good", "talks", "large"}
    assert found["good", True]["mac_sites"] == 8
    assert found["large", True]["parameters"] == (1 << 40) + (1 << 20)
    assert "KeyError" in errors["raises"] and "no such layer" in errors["raises"]
    assert "SystemExit" in errors["leaves"]
    if text == TROUBLE:
        assert errors["hangs"] == "took longer than 15 s and was stopped"
    assert "SIGKILL" in errors["dies"]
    assert "MemoryError" in errors["eats"]
    assert "wrong input does not run" in errors["wrong input"]
    assert errors["good"] == "duplicate name: architecture 0 is called so too"
    assert "wrong input" in errors and "not a module" in errors
    assert report.failed == len(errors) == (8 if text == TROUBLE else 7)


def test_a_forward_that_needs_values_is_computed(tmp_path: Path) -> None:
    """Its control flow reads a number, which no run without data gives. Sum of 4, x + 1: 3 + 4 adds."""
    text = """
import torch
from torch import nn
class Needs(nn.Module):
    def forward(self, x):
        return x + 1 if x.sum() > -1e9 else x
architectures = [("a", Needs, torch.empty(1, 4))]
"""
    sweep(plan(space_file(tmp_path, text), SweepSettings()), tmp_path / "out", engine=here)
    (row,) = rows(tmp_path / "out")
    assert (row["error"], row["add"]) == (None, 7)


def test_a_space_that_differs_from_walk_to_walk_gives_rows_with_errors(tmp_path: Path) -> None:
    text = """
import os, torch
from torch import nn
def architectures():
    for i in range(3):
        yield f"{i}-{os.getpid()}", lambda: nn.Linear(2, 2), torch.empty(1, 2)
"""
    sweep(plan(space_file(tmp_path, text), SweepSettings()), tmp_path / "out", engine=here)
    assert all("must be the same every time" in row["error"] for row in rows(tmp_path / "out"))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("", "has no `architectures`", id="nothing"),
        pytest.param("architectures = 3", "has no `architectures`", id="a number"),
        pytest.param("architectures = []", "is an empty space", id="empty"),
        pytest.param("architectures = iter([])", "can be walked only once", id="iterator"),
        pytest.param("architectures = [3]", "architecture 0 of", id="a number in it"),
        pytest.param("architectures = [('a', 3, None)]", "architecture 0 of", id="no factory"),
        pytest.param("architectures = [('a', int, 3, {'f': []})]", "fact 'f' of a", id="a list as a fact"),
        pytest.param("def architectures():\n yield 1 / 0", "ZeroDivisionError", id="raises while walked"),
        pytest.param("import nowhere", "ModuleNotFoundError", id="raises while loaded"),
        pytest.param("(", "SyntaxError", id="no Python"),
    ],
)
def test_a_file_that_is_no_space(text: str, error: str, tmp_path: Path) -> None:
    with pytest.raises((ModelError, ArgumentError), match=error):
        plan(space_file(tmp_path, text), SweepSettings())


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        pytest.param({"cpus": ("via-nano",)}, "unknown CPU", id="processor"),
        pytest.param({"energies": ("45",)}, "unknown energy table", id="energy table"),
        pytest.param({"arithmetics": ("adders",)}, "unknown arithmetic", id="arithmetic"),
        pytest.param({"conventions": ("mac",)}, "unknown convention", id="convention"),
        pytest.param({"cost_model": "latency"}, "unknown cost model", id="cost model"),
        pytest.param({"batches": (0,)}, "a batch of 0", id="batch"),
        pytest.param({"batches": ()}, "at least one of its batches", id="no batch"),
    ],
)
def test_a_wrong_name_is_refused_before_any_work(settings: dict[str, Any], error: str) -> None:
    with pytest.raises(ArgumentError, match=error):
        plan("zoo:*", SweepSettings(**settings))


@pytest.mark.parametrize("space", ["zoo", "zoo:", "nasbench301", "zoo:nothing*", "model.json"])
def test_what_is_no_space(space: str) -> None:
    with pytest.raises(ArgumentError):
        plan(space, SweepSettings())


def test_names_of_any_kind_keep(tmp_path: Path) -> None:
    names = ["", "a,b\n", "ü/../x", "=1+1"]
    text = f"""
import torch
from torch import nn
architectures = [(name, lambda: nn.Linear(2, 2), torch.empty(1, 2)) for name in {names}]
"""
    sweep(plan(space_file(tmp_path, text), SweepSettings()), tmp_path / "out", engine=here)
    assert [row["name"] for row in rows(tmp_path / "out")] == names
