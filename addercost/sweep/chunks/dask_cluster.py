"""Runs chunks as tasks of a Dask cluster. Shards are returned as bytes, so that workers need no common
folder.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from addercost.errors import ArgumentError, WorkersLostError
from addercost.sweep.chunks.chunk import ATTEMPTS, IN_FLIGHT, Chunk, Engine, Results, run_chunk

_CONNECT_S = 20.0
_POLL_S = 1.0
_KEPT = "what is done is kept, and the same command goes on from there"


def dask_cluster(address: str, resource: str = "") -> Engine:
    """An engine on the scheduler at `address` (`tcp://…`); for `local:N`, on a new local cluster with N
    workers.

    resource: chunks run only on workers that offer this Dask resource, one at a time for each unit of it.
    Raises WorkersLostError when the cluster goes away, ArgumentError where no worker offers the resource.
    """

    def run(chunks: Iterator[Chunk]) -> Results:
        return _run_on_dask(address, chunks, resource)

    return run


def _run_on_dask(address: str, chunks: Iterator[Chunk], resource: str) -> Results:
    try:
        from distributed import Client
    except ImportError:
        raise ArgumentError("--dask needs Dask", "pip install 'addercost[sweep]'") from None
    # Dask would log tracebacks when the scheduler is gone, which our error says in one line.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    cluster, where = _cluster(address, resource)
    try:
        try:
            client = Client(where, timeout=_CONNECT_S, set_as_default=False)
        except ValueError:
            raise ArgumentError(
                f"--dask {address!r} is no address", "write it as tcp://HOST:PORT or local:4"
            ) from None
        except (OSError, TimeoutError) as error:
            raise WorkersLostError(
                f"no Dask scheduler answers at {address}: {type(error).__name__}",
                "start one: `dask scheduler`",
            ) from None
        try:
            yield from _run(client, address, chunks, resource)
        finally:
            client.close(timeout=2)
    finally:
        if cluster is not None:
            cluster.close(timeout=10)


def _cluster(address: str, resource: str) -> tuple[Any, Any]:
    """(a cluster of our own that must be closed or None, the address or cluster to connect to)."""
    kind, _, rest = address.partition(":")
    if kind != "local":
        return None, address
    from distributed import LocalCluster

    if not rest.isdigit() or int(rest) < 1:
        raise ArgumentError(f"--dask {address!r} is not a number of workers", "write it as local:4")
    # memory_limit=0: users' code runs in children of the workers, whose memory this limit does not cover.
    cluster = LocalCluster(
        # A machine has one unit of an exclusive resource, so a second worker would only wait.
        n_workers=1 if resource else int(rest),
        resources={resource: 1} if resource else None,
        threads_per_worker=1,
        # Both listen on the loopback address, since whoever reaches a scheduler can make its workers run
        # code.
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        silence_logs="ERROR",
    )
    return cluster, cluster


def _run(client: Any, address: str, chunks: Iterator[Chunk], resource: str) -> Results:
    from concurrent.futures import CancelledError

    from distributed import KilledWorker, wait
    from distributed.client import FutureCancelledError
    from distributed.comm.core import CommClosedError

    _wait_for_workers(client, address)
    if resource and not _places(client, resource):
        raise ArgumentError(
            f"no worker of {address} offers the Dask resource {resource!r}",
            f"start one a machine: `dask worker {address} --nthreads 1 --resources {resource}=1`",
        )
    needed = {resource: 1} if resource else None
    running: dict[Any, Chunk] = {}
    lost: dict[int, int] = {}
    again: list[Chunk] = []
    ended = False
    while True:
        try:
            room = IN_FLIGHT * max(_places(client, resource), 1)
            while not ended and len(running) < room:
                chunk = again.pop() if again else next(chunks, None)
                ended = chunk is None
                if chunk is not None:
                    running[client.submit(run_chunk, chunk, pure=False, resources=needed)] = chunk
            if not running:
                return
            try:
                with client.as_current():
                    done = wait(list(running), timeout=_POLL_S, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                if client.status != "running":
                    raise CommClosedError("the connection is closed") from None
                continue
            for future in done:
                chunk = running.pop(future)
                try:
                    result = future.result()
                except KilledWorker:
                    lost[chunk.number] = lost.get(chunk.number, 0) + 1
                    if lost[chunk.number] >= ATTEMPTS:
                        raise WorkersLostError(
                            f"chunk {chunk.number} lost its workers again and again", _KEPT
                        ) from None
                    again.append(chunk)
                    ended = False
                    continue
                except (CommClosedError, CancelledError, FutureCancelledError):
                    raise
                except Exception as error:
                    raise WorkersLostError(
                        f"a Dask worker cannot run a chunk: {type(error).__name__}: {error}",
                        "install addercost[sweep] where the workers run",
                    ) from None
                yield result
        except (CommClosedError, CancelledError, FutureCancelledError):
            raise WorkersLostError(f"the Dask scheduler at {address} has gone away", _KEPT) from None


def _places(client: Any, resource: str) -> int:
    """How many chunks can run at once: one for each thread of a worker, or for each unit of `resource`."""
    workers = client.scheduler_info()["workers"].values()
    return int(
        sum(worker["resources"].get(resource, 0) if resource else worker["nthreads"] for worker in workers)
    )


def _wait_for_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_CONNECT_S)
    except TimeoutError:
        raise WorkersLostError(
            f"the Dask scheduler at {address} has no workers", f"start some: `dask worker {address}`"
        ) from None
