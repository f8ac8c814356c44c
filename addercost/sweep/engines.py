"""Where chunks run: processes of this machine, or a Dask cluster. Both yield results as they are done."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from addercost.errors import WorkersLostError
from addercost.sweep.chunk import Chunk, ChunkResult, run_chunk

Results = Generator[ChunkResult, None, None]
Engine = Callable[[Iterator[Chunk]], Results]

_IN_FLIGHT = 2
"""Chunks a worker: one it works on, one that waits, so that memory does not grow with the sweep."""
_ATTEMPTS = 4
"""How often one chunk may lose its worker before the sweep gives up: a worker dies of something outside."""


def process_pool(workers: int) -> Engine:
    """`workers` processes of this machine. A worker that is killed costs the chunks in flight, which run
    again.
    """

    def run(chunks: Iterator[Chunk]) -> Results:
        attempts: dict[int, int] = {}
        again: list[Chunk] = []
        source = iter(chunks)
        while True:
            pool = _pool(workers)
            running: dict[Future[ChunkResult], Chunk] = {}
            try:
                while True:
                    while len(running) < workers * _IN_FLIGHT:
                        chunk = again.pop() if again else next(source, None)
                        if chunk is None:
                            break
                        running[_submitted(pool, chunk)] = chunk
                    if not running:
                        return
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        result = future.result()
                        del running[future]
                        yield result
            except BrokenProcessPool:
                for chunk in running.values():
                    attempts[chunk.number] = attempts.get(chunk.number, 0) + 1
                    if attempts[chunk.number] >= _ATTEMPTS:
                        raise WorkersLostError(
                            f"the worker of chunk {chunk.number} was killed {_ATTEMPTS} times",
                            "see what kills it; what is done is kept, and the same command goes on from "
                            "there",
                        ) from None
                again += running.values()
            finally:
                _stop(pool)

    return run


def _submitted(pool: ProcessPoolExecutor, chunk: Chunk) -> Future[ChunkResult]:
    try:
        return pool.submit(run_chunk, chunk)
    except BrokenProcessPool as error:
        # So that a chunk that could not even be handed over is among those that run again.
        failed: Future[ChunkResult] = Future()
        failed.set_exception(error)
        return failed


def _pool(workers: int) -> ProcessPoolExecutor:
    # Fork would copy the threads' locks of whatever the caller has imported.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_settle)


def _settle() -> None:
    """In a new worker. Ctrl-C reaches every process of the terminal, but the sweep decides what ends;
    and a worker ends with the sweep, also where that was killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()


def _end_with_the_sweep() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _stop(pool: ProcessPoolExecutor) -> None:
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def dask_cluster(address: str, resource: str = "") -> Engine:
    """A Dask scheduler at `address` (`tcp://…`), or, for `local:N`, one of our own with N workers.

    resource: chunks run only on workers that offer this Dask resource, one at a time for each unit of it.
    """

    def run(chunks: Iterator[Chunk]) -> Results:
        from addercost.sweep.dask_engine import run_on_dask

        return run_on_dask(address, chunks, _IN_FLIGHT, _ATTEMPTS, resource)

    return run
