"""The costs of calling an operator beside its arithmetic: the call in eager torch, and waking all threads."""

from __future__ import annotations

import time
from collections.abc import Callable

CALLS = 200
GRAIN = 32768
"""The fewest elements that torch gives to a thread in element-wise operators (at::internal::GRAIN_SIZE)."""


def operator_call_sample() -> Callable[[], float]:
    """Makes a function that returns the seconds of one operator on a single element."""
    import torch

    one = torch.ones(1)

    def sample() -> float:
        with torch.no_grad():
            start = time.thread_time_ns()
            for _ in range(CALLS):
                torch.add(one, one)
            return (time.thread_time_ns() - start) * 1e-9 / CALLS

    return sample


def wake_up_sample(threads: int) -> Callable[[], float]:
    """Makes a function that returns the seconds to start threads and to wait for them: the time of an
    operator on `threads` threads - its time on one thread, with equally many elements for each thread.
    """
    import torch

    few, many = torch.ones(GRAIN), torch.ones(GRAIN * threads)

    def seconds(x: torch.Tensor) -> float:
        torch.neg_(x)
        start = time.perf_counter_ns()
        for _ in range(CALLS):
            torch.neg_(x)
        return (time.perf_counter_ns() - start) * 1e-9 / CALLS

    def sample() -> float:
        before = torch.get_num_threads()
        with torch.no_grad():
            try:
                torch.set_num_threads(1)
                alone = seconds(few)
                torch.set_num_threads(threads)
                together = seconds(many)
            finally:
                torch.set_num_threads(before)
        return max(together - alone, 1e-9)

    return sample
