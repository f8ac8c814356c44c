"""Runs chunks in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker

from addercost.errors import WorkersLostError
from addercost.supervision import signals_wait
from addercost.sweep.chunks.chunk import (
    ATTEMPTS,
    IN_FLIGHT,
    Chunk,
    ChunkResult,
    Engine,
    Results,
    run_chunk,
)


def process_pool(workers: int) -> Engine:
    """An engine of `workers` processes. When one of them is killed, all submitted chunks run again.

    Raises WorkersLostError where one chunk has lost its worker `ATTEMPTS` times.
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
                    while len(running) < workers * IN_FLIGHT:
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
                    if attempts[chunk.number] >= ATTEMPTS:
                        raise WorkersLostError(
                            f"the worker of chunk {chunk.number} was killed {ATTEMPTS} times",
                            "see what kills it; what is done is kept, and the same command goes on from "
                            "there",
                        ) from None
                again += running.values()
            finally:
                _stop(pool)

    return run


def _submitted(pool: ProcessPoolExecutor, chunk: Chunk) -> Future[ChunkResult]:
    try:
        # A new worker reads its start data from this process, and prints a traceback where the data are cut
        # off.
        with signals_wait():
            return pool.submit(run_chunk, chunk)
    except BrokenProcessPool as error:
        # So a chunk that could not be submitted is among those that run again.
        failed: Future[ChunkResult] = Future()
        failed.set_exception(error)
        return failed


def _pool(workers: int) -> ProcessPoolExecutor:
    _start_quiet_tracker()
    # A fork would copy locks that other threads of the caller have at that moment.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_worker)


def _start_quiet_tracker() -> None:
    """Starts the process that frees the pool's semaphores if the sweep is killed, and turns off its warning
    about them. It inherits the options of this process's warnings.
    """
    kept = list(sys.warnoptions)
    sys.warnoptions.append("ignore:resource_tracker")
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions[:] = kept


def _prepare_worker() -> None:
    """Runs first in a new worker. It ignores Ctrl-C, which reaches every process of the terminal, since the
    sweep decides when a worker ends. It also makes the worker end if the sweep is killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()


def _end_with_the_sweep() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _stop(pool: ProcessPoolExecutor) -> None:
    """Kills the workers, which have nothing to clean up. The pool's semaphores are removed after that,
    because a worker that is still starting needs them.
    """
    processes = list((pool._processes or {}).values())
    for process in processes:
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.join()
