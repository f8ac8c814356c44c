"""What a call of an operator costs before its arithmetic begins: in eager torch, and on all threads."""

from __future__ import annotations

import time
from collections.abc import Callable

CALLS = 200
GRAIN = 32768
"""Elements that torch gives to one thread at least, in element-wise operators (at::internal::GRAIN_SIZE)."""


def operator_call_sample() -> Callable[[], float]:
    """A function that returns the seconds of one operator on a single element."""
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
    """A function that returns by how many seconds an operator takes longer on `threads` threads, with as many
    elements for each, than on one: starting the threads and waiting for them.
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
