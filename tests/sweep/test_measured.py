"""Timing what was swept: rows, resuming, failures, one measurement at a time. No test asserts a duration."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import distributed
import pytest
import torch
from sweep_spaces import LINEAR, TROUBLE, TROUBLE_TIMEOUT_S, here, space_file

from addercost.cli import run as cli
from addercost.cli.sweep_text import report_text
from addercost.errors import ArgumentError
from addercost.measure.devices.exclusive import exclusive
from addercost.results.sweep_settings import SweepSettings
from addercost.sweep.chunks.chunk import Chunk, ChunkResult, run_chunk
from addercost.sweep.chunks.dask_cluster import dask_cluster
from addercost.sweep.measure import measure, measure_plan
from addercost.sweep.measurement import RESOURCE, ArchitectureTimes, ForwardTime, MeasureSettings
from addercost.sweep.queries.metrics import Variant
from addercost.sweep.queries.ranking import top
from addercost.sweep.queries.sweep_data import open_sweep
from addercost.sweep.run import plan, sweep
from addercost.sweep.shards.measured_shard import measured_shard_bytes

QUICK = MeasureSettings(precision=0.5, time_limit_s=0.02, chunk=2)
VARIANT = Variant("mac", "full", 1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def measured(
    folder: Path, columns: str = "name, arithmetic, batch, error", rest: str = ""
) -> list[dict[str, Any]]:
    sql = f"SELECT {columns} FROM measured {rest or 'ORDER BY name, arithmetic, batch'}"
    return list(open_sweep(folder).table(sql).rows)


def test_each_architecture_arithmetic_and_batch_is_a_row(swept: Path) -> None:
    settings = replace(QUICK, arithmetics=("mac", "adder"), batches=(1, 4))
    report = measure(measure_plan(swept, settings), swept, engine=here)
    assert (report.architectures, report.rows, report.chunks, report.failed) == (9, 36, 5, 0)
    assert not report.remarks
    rows = measured(swept, "name, arithmetic, batch, samples, samples_s, median_s, machine, environment")
    names = [f"linear-{width}" for width in range(1, 10)]
    assert [(row["name"], row["arithmetic"], row["batch"]) for row in rows] == [
        (name, arithmetic, batch) for name in names for arithmetic in ("adder", "mac") for batch in (1, 4)
    ]
    for row in rows:
        assert row["samples"] == len(row["samples_s"]) > 0 and min(row["samples_s"]) > 0
        assert min(row["samples_s"]) <= row["median_s"] <= max(row["samples_s"])
        assert json.loads(row["environment"])["cpu"] == row["machine"]


def test_what_is_timed_is_not_timed_again(swept: Path) -> None:
    what = measure_plan(swept, QUICK)
    ran: list[int] = []

    def stops_after_one(chunks: Iterator[Chunk]) -> Generator[ChunkResult, None, None]:
        for chunk in chunks:
            ran.append(chunk.number)
            yield run_chunk(chunk)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(what, swept, engine=stops_after_one)
    first = (swept / "measured-cpu-000000.parquet").read_bytes()
    report = measure(what, swept, engine=here)
    assert ran == [0] and report.chunks_done_before == 1
    assert (swept / "measured-cpu-000000.parquet").read_bytes() == first
    assert len(measured(swept)) == 9


def test_a_sample_is_spread_evenly(swept: Path) -> None:
    measure(measure_plan(swept, replace(QUICK, sample=2)), swept, engine=here)
    assert [row["name"] for row in measured(swept)] == ["linear-1", "linear-5"]


@pytest.mark.exhaustive
def test_trouble_is_rows(tmp_path: Path) -> None:
    """The one that hangs does so where its input has data: a sweep counts it without."""
    folder = tmp_path / "out"
    hangs = "        time.sleep(1000)"
    assert hangs in TROUBLE
    spec = space_file(tmp_path, TROUBLE.replace(hangs, "        return x if x.is_meta else time.sleep(1000)"))
    limits = {"timeout_s": TROUBLE_TIMEOUT_S, "memory_limit_bytes": 1 << 30}
    sweep(plan(spec, SweepSettings(chunk=6)), folder, engine=here, **limits)
    what = measure_plan(folder, replace(QUICK, chunk=20))
    report = measure(what, folder, engine=here, **limits)
    rows = {row["name"]: row["error"] for row in measured(folder) if "duplicate" not in (row["error"] or "")}
    assert rows["good"] is None and rows["talks"] is None
    assert "no such layer" in rows["raises"] and "SIGKILL" in rows["dies"]
    assert "longer than 15 s" in rows["hangs"]
    # And one whose name came before.
    assert report.failed == sum(error is not None for error in rows.values()) + 1 > 5


def test_other_settings_are_refused(swept: Path) -> None:
    measure(measure_plan(swept, QUICK), swept, engine=here)
    with pytest.raises(ArgumentError, match="measured with batches"):
        measure(measure_plan(swept, replace(QUICK, batches=(2,))), swept, engine=here)


def test_a_space_that_has_changed_is_refused(swept: Path, tmp_path: Path) -> None:
    space_file(tmp_path, LINEAR.format(n=8))
    with pytest.raises(ArgumentError, match="no longer what"):
        measure_plan(swept, QUICK)


def test_ranks_by_what_was_measured(swept: Path) -> None:
    measure(measure_plan(swept, QUICK), swept, engine=here)
    table = top(open_sweep(swept), "measured_s@cpu", VARIANT, shown=["cycles@via-nano-2000"])
    medians = {row["name"]: row["median_s"] for row in measured(swept, "name, median_s")}
    assert [row["name"] for row in table.rows] == sorted(medians, key=lambda name: medians[name])
    # From w to 3 features: 3·w multiplications of 4 cycles and 3·(w - 1) + 3 additions of 2, in 2 rows.
    assert {row["name"]: row["cycles@via-nano-2000"] for row in table.rows}["linear-2"] == 2 * 3 * 2 * 6


@pytest.mark.parametrize(
    "spec",
    ["zoo:lenet5-bn", pytest.param("torchvision:squeezenet1_1", marks=pytest.mark.exhaustive)],
)
def test_models_by_name_are_timed_with_weights(spec: str, tmp_path: Path) -> None:
    """What is swept is made without data; what is timed must have some."""
    folder = tmp_path / "named"
    sweep(plan(spec, SweepSettings(cpus=("via-nano-2000",))), folder, engine=here)
    report = measure(measure_plan(folder, replace(QUICK, arithmetics=("mac", "adder"))), folder, engine=here)
    assert (report.rows, report.failed) == (2, 0)


def test_ranking_by_measurements_that_all_failed_is_refused(tmp_path: Path) -> None:
    """A forward that only runs without data cannot be timed."""
    text = """
import torch
from torch import nn

class NeedsMeta(nn.Module):
    def forward(self, x):
        if not x.is_meta:
            raise RuntimeError("has data")
        return x

architectures = [("one", NeedsMeta, torch.empty(1, 2))]
"""
    folder = tmp_path / "out"
    sweep(plan(space_file(tmp_path, text), SweepSettings(cpus=("via-nano-2000",))), folder, engine=here)
    report = measure(measure_plan(folder, QUICK), folder, engine=here)
    assert report.failed == 1 and "FROM measured" in report_text(report, "measured")
    with pytest.raises(ArgumentError, match="every measurement on cpu failed"):
        top(open_sweep(folder), "measured_s@cpu", VARIANT)


def test_ranking_without_measurements_is_refused(swept: Path) -> None:
    with pytest.raises(ArgumentError, match="nothing was measured"):
        top(open_sweep(swept), "measured_s@cpu", VARIANT)


def test_two_machines_are_not_ranked_together(swept: Path) -> None:
    what = measure_plan(swept, QUICK)

    def two_machines(chunks: Iterator[Chunk]) -> Generator[ChunkResult, None, None]:
        for chunk in chunks:
            found = [
                ArchitectureTimes(index, name, (ForwardTime("mac", 1, (1.0,), 1.0, None, None, True),),
                                  "cpu", {"cpu": f"machine {chunk.number}", "date": f"day {index}"})
                for index, name in chunk.members  # type: ignore[attr-defined]
            ]  # fmt: skip
            data = measured_shard_bytes(what.layout.key, chunk.number, what.settings, found)
            yield ChunkResult(chunk.number, len(found), 0, data)

    measure(what, swept, engine=two_machines)
    with pytest.raises(ArgumentError, match=r"cpu: machine \d, machine \d"):
        top(open_sweep(swept), "measured_s@cpu", VARIANT)


def _keep_device(device: str, has_it: Any, let_go: Any) -> None:
    with exclusive(device):
        has_it.set()
        let_go.wait(600)


def test_one_measurement_at_a_time_on_a_device() -> None:
    """While a process has the device no other gets it; once that process was killed, another does."""
    context = multiprocessing.get_context("fork")
    has_it, let_go = context.Event(), context.Event()
    other = context.Process(target=_keep_device, args=("cpu", has_it, let_go))
    other.start()
    assert has_it.wait(300)
    with exclusive("cuda"):
        pass
    lock = Path(os.environ["XDG_CACHE_HOME"]) / "addercost" / "measuring-cpu.lock"
    with lock.open("w") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        other.kill()
        other.join()
    with exclusive("cpu"):
        pass


def test_from_the_command_line(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--precision", "50%", "--time-limit", "0.02", "--as", "mac,xnor", "--sample", "2"]
    assert cli(["sweep", "measure", str(swept), *options]) == 0
    assert "2 architectures, 4 rows in 1 shard" in capsys.readouterr().err
    assert cli(["query", str(swept), "SELECT count(*) AS n FROM measured", "--format", "csv"]) == 0
    assert capsys.readouterr().out.split() == ["n", "4"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(("--device", "cud"), "did you mean cuda", id="device"),
        pytest.param(("--as", "addr"), "did you mean adder", id="arithmetic"),
        pytest.param(("--precision", "2"), "write it as", id="precision"),
        pytest.param(("--threads", "100000"), "threads on", id="threads"),
    ],
)
def test_bad_input(
    swept: Path, options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(["sweep", "measure", str(swept), *options]) == 2
    err = capsys.readouterr().err
    assert words in err and len(err.splitlines()) == 1


def test_no_gpu(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert cli(["sweep", "measure", str(swept), "--device", "cuda"]) == 2
    err = capsys.readouterr().err
    assert "GPU" in err and len(err.splitlines()) == 1


@pytest.mark.exhaustive
def test_on_dask_with_the_exclusive_resource(swept: Path) -> None:
    report = measure(measure_plan(swept, QUICK), swept, engine=dask_cluster("local:2", RESOURCE))
    assert report.failed == 0 and len(measured(swept)) == 9


@pytest.mark.exhaustive
def test_a_cluster_without_the_resource_is_refused(swept: Path) -> None:
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=0, silence_logs="CRITICAL"
    ) as cluster:
        engine = dask_cluster(cluster.scheduler_address, RESOURCE)
        with pytest.raises(ArgumentError, match=r"no worker .* offers the Dask resource 'addercost-device'"):
            measure(measure_plan(swept, QUICK), swept, engine=engine)
