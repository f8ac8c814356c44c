"""A sweep on a Dask cluster: the same shards, whatever is killed meanwhile."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed
import psutil
import pytest
from sweep_spaces import (
    IN_TWOS,
    LINEAR,
    TROUBLE_TIMEOUT_S,
    WAITING,
    WITHOUT_HANG,
    contents,
    here,
    rows,
    space_file,
)

from addercost.errors import ArgumentError, WorkersLostError
from addercost.results.sweep_settings import SweepSettings
from addercost.sweep.chunks.dask_cluster import _cluster as own_or_given_cluster
from addercost.sweep.chunks.dask_cluster import dask_cluster
from addercost.sweep.run import plan, sweep


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two worker processes under a scheduler that a client reaches by its address."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0, silence_logs="CRITICAL"
    ) as made:
        yield made


def worker_pids(cluster: Any) -> list[int]:
    return [nanny.pid for nanny in cluster.workers.values()]


@pytest.mark.exhaustive
def test_the_same_as_in_one_process_also_when_a_worker_is_killed(cluster: Any, tmp_path: Path) -> None:
    what = plan(space_file(tmp_path, LINEAR.format(n=15)), IN_TWOS)
    sweep(what, tmp_path / "expected", engine=here)
    killed: list[int] = []

    def kill_one(done: int, failed: int) -> None:
        if not killed:
            killed.append(worker_pids(cluster)[0])
            psutil.Process(killed[0]).send_signal(signal.SIGKILL)

    engine = dask_cluster(cluster.scheduler_address)
    report = sweep(what, tmp_path / "out", engine=engine, on_chunk=kill_one)
    assert killed and report.failed == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


@pytest.mark.exhaustive
def test_trouble_is_rows_there_too(cluster: Any, tmp_path: Path) -> None:
    what = plan(space_file(tmp_path, WITHOUT_HANG), SweepSettings(chunk=6))
    engine = dask_cluster(cluster.scheduler_address)
    report = sweep(
        what, tmp_path / "out", engine=engine, timeout_s=TROUBLE_TIMEOUT_S, memory_limit_bytes=1 << 30
    )
    assert report.failed == 7
    assert {row["name"] for row in rows(tmp_path / "out") if row["error"] is None} == {
        "good",
        "talks",
        "large",
    }


@pytest.mark.exhaustive
def test_a_scheduler_that_goes_away_ends_the_sweep_which_can_go_on(tmp_path: Path) -> None:
    """Architectures after the first eight wait, so that the sweep cannot finish before."""
    go = tmp_path / "go"
    waiting = WAITING.format(n=30, free=8, go=str(go))
    what = plan(space_file(tmp_path, waiting), IN_TWOS)
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=0, silence_logs="CRITICAL"
    )
    closing: list[threading.Thread] = []

    def close(done: int, failed: int) -> None:
        if not closing:
            closing.append(threading.Thread(target=cluster.close))
            closing[0].start()

    with pytest.raises(WorkersLostError, match="has gone away; what is done is kept"):
        sweep(what, tmp_path / "out", engine=dask_cluster(cluster.scheduler_address), on_chunk=close)
    closing[0].join()
    go.touch()
    done = len(list((tmp_path / "out").glob("*.parquet")))
    assert 1 <= done < 15
    assert sweep(what, tmp_path / "out", engine=here).chunks_done_before == done


def test_no_scheduler_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addercost.sweep.chunks.dask_cluster._CONNECT_S", 1.0)
    what = plan("zoo:lenet*", IN_TWOS)
    with pytest.raises(WorkersLostError, match="no Dask scheduler answers"):
        sweep(what, tmp_path / "out", engine=dask_cluster("tcp://127.0.0.1:9"))


def test_a_scheduler_without_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addercost.sweep.chunks.dask_cluster._CONNECT_S", 1.0)
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        address = empty.scheduler_address
        with pytest.raises(WorkersLostError, match="has no workers; start some: `dask worker"):
            sweep(plan("zoo:lenet*", IN_TWOS), tmp_path / "out", engine=dask_cluster(address))


@pytest.mark.exhaustive
def test_a_cluster_of_our_own_is_started_and_gone(space: str, swept_nine: Path, tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    sweep(plan(space, IN_TWOS), tmp_path / "out", engine=dask_cluster("local:1"))
    assert contents(tmp_path / "out") == contents(swept_nine)
    left = [c for c in psutil.Process().children(recursive=True) if c.pid not in before]
    assert not [child for child in left if "tracker" not in str(child.cmdline())]


def listening() -> set[tuple[str, int]]:
    """(address, port) of every listening socket of this process and of what it has started."""
    return {
        (connection.laddr.ip, connection.laddr.port)
        for process in (psutil.Process(), *psutil.Process().children(recursive=True))
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.mark.exhaustive
def test_a_cluster_of_our_own_listens_on_the_loopback_alone() -> None:
    """Scheduler, workers and dashboard: whoever reaches them can run code."""
    # Clusters that other tests have closed may go on to listen for a while.
    before = listening()
    cluster, _ = own_or_given_cluster("local:1", "")
    with cluster:
        own = listening() - before
        dashboard = cluster.scheduler.http_server.port
    assert dashboard in {port for _, port in own}
    assert {address for address, _ in own} == {"127.0.0.1"}


@pytest.mark.parametrize("address", ["local:", "local:0", "local:many"])
def test_a_wrong_number_of_workers(address: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="write it as local:4"):
        sweep(plan("zoo:lenet*", IN_TWOS), tmp_path / "out", engine=dask_cluster(address))
