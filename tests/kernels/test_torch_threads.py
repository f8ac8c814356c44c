"""The loops of kernels run on torch's own threads."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
import time

import pytest
import torch

pytest.importorskip("halide", reason="the CPU kernels need halide")

from addercost.kernels.cpu import shares
from addercost.kernels.cpu.ir.build import as_array
from addercost.kernels.cpu.shares import NativeCall, run_shares
from addercost.kernels.cpu.torch_threads import address_of, parallel_loop

TASK = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p)


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize(("first", "size"), [(0, 0), (5, 1), (-2, 2), (7, 100)])
def test_each_index_comes_once(first, size, threads):
    seen = []
    task = TASK(lambda context, index, closure: seen.append((context, index, closure)) or 0)
    assert parallel_loop()(17, address_of(task), first, size, 19) == 0
    assert sorted(seen) == [(17, index, 19) for index in range(first, first + size)]


def test_the_tasks_run_on_all_threads(threads):
    def run(context, index, closure):
        seen.add(threading.get_native_id())
        # No thread is done before the others have begun.
        while len(seen) < threads:
            time.sleep(0.001)
        return 0

    seen = set()
    task = TASK(run)
    assert parallel_loop()(None, address_of(task), 0, threads, None) == 0
    assert len(seen) == threads


def test_what_a_task_returns_is_returned(threads):
    ran = []
    task = TASK(lambda context, index, closure: ran.append(index) or (6 if index == 3 else 0))
    assert parallel_loop()(None, address_of(task), 0, 8, None) == 6
    assert len(ran) == 8


THREADS_STARTED = """
import os, torch
from addercost.layers import AdderConv2d
torch.set_num_threads(3)
torch.randn(1 << 22).relu_()
before = len(os.listdir("/proc/self/task"))
layer = AdderConv2d(48, 48, 3, padding=1, bias=False)
with torch.no_grad():
    layer(torch.randn(3, 48, 24, 24))
print(len(os.listdir("/proc/self/task")) - before)
"""


def test_kernels_start_no_threads_of_their_own():
    done = subprocess.run([sys.executable, "-c", THREADS_STARTED], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


@pytest.mark.parametrize("has_openmp", [True, False])
@pytest.mark.parametrize("result", [ctypes.c_int32, None], ids=["a number", "nothing"])
def test_each_share_is_called_with_its_operands(has_openmp, result, threads, monkeypatch):
    """Without torch's OpenMP, threads of Python make the calls."""
    if not has_openmp:
        monkeypatch.setattr(shares, "parallel_loop", lambda: None)
    seen = []

    def loop(other, source, target, numbers):
        seen.append((other, source, target, ctypes.c_int64.from_address(numbers).value))
        return None if result is None else numbers_of_share(numbers)

    def numbers_of_share(numbers):
        return ctypes.c_int64.from_address(numbers).value // 4

    function = ctypes.CFUNCTYPE(result, *[ctypes.c_void_p] * 4)(loop)
    calls = tuple(NativeCall(function, 8 * i, 2 * i, as_array((i,))) for i in range(5))
    found = run_shares(calls, 1000, 2000, (3000,))
    assert sorted(seen) == [(3000, 1000 + 8 * i, 2000 + 2 * i, i) for i in range(5)]
    # The last call alone returns one.
    assert found == (1 if result else 0)
