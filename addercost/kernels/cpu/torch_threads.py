"""Runs the parallel loops of kernels on torch's own threads.

Halide starts threads of its own. After an operator on several threads, torch's threads wait for the next one
without sleeping, for some milliseconds, so Halide's would share the cores with them. GNU's OpenMP, which
torch uses on Linux, has one function that runs another on all threads of torch, and threads that wait so
begin in a microsecond.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch

from addercost.kernels.cpu.ir.native import NativeCode

_LOOP = """
@is_alone = global i32 0
%loop = type {{ ptr, ptr, ptr, i32, i32, i32, i32 }}

define internal void @work(ptr %loop) {{
entry:
  %context_at = getelementptr %loop, ptr %loop, i32 0, i32 0
  %task_at = getelementptr %loop, ptr %loop, i32 0, i32 1
  %closure_at = getelementptr %loop, ptr %loop, i32 0, i32 2
  %first_at = getelementptr %loop, ptr %loop, i32 0, i32 3
  %size_at = getelementptr %loop, ptr %loop, i32 0, i32 4
  %next_at = getelementptr %loop, ptr %loop, i32 0, i32 5
  %failure_at = getelementptr %loop, ptr %loop, i32 0, i32 6
  %context = load ptr, ptr %context_at
  %task = load ptr, ptr %task_at
  %closure = load ptr, ptr %closure_at
  %first = load i32, ptr %first_at
  %size = load i32, ptr %size_at
  br label %next
next:
  %i = atomicrmw add ptr %next_at, i32 1 monotonic
  %is_left = icmp slt i32 %i, %size
  br i1 %is_left, label %run, label %end
run:
  %index = add i32 %first, %i
  %code = call i32 %task(ptr %context, i32 %index, ptr %closure)
  %has_failed = icmp ne i32 %code, 0
  br i1 %has_failed, label %fail, label %next
fail:
  store atomic i32 %code, ptr %failure_at monotonic, align 4
  br label %next
end:
  ret void
}}

define i32 @parallel_loop(ptr %context, ptr %task, i32 %first, i32 %size, ptr %closure) {{
  %loop = alloca %loop
  %with_context = insertvalue %loop zeroinitializer, ptr %context, 0
  %with_task = insertvalue %loop %with_context, ptr %task, 1
  %with_closure = insertvalue %loop %with_task, ptr %closure, 2
  %with_first = insertvalue %loop %with_closure, i32 %first, 3
  %with_size = insertvalue %loop %with_first, i32 %size, 4
  store %loop %with_size, ptr %loop
  %alone_here = load i32, ptr @is_alone
  %is_forked = icmp ne i32 %alone_here, 0
  %is_one = icmp slt i32 %size, 2
  %by_one = or i1 %is_forked, %is_one
  br i1 %by_one, label %alone, label %together
alone:
  call void @work(ptr %loop)
  br label %end
together:
  call void inttoptr (i64 {run_on_all} to ptr)(ptr @work, ptr %loop, i32 0, i32 0)
  br label %end
end:
  %failure_at = getelementptr %loop, ptr %loop, i32 0, i32 6
  %failure = load i32, ptr %failure_at
  ret i32 %failure
}}
"""
"""Each thread takes the next index until none is left. `parallel_loop` has the form of Halide's
`custom_do_par_for` and returns the exit code of a task that failed, or 0.
"""


@cache
def parallel_loop() -> Any | None:
    """A function (context, task, first, size, closure) that calls task(context, index, closure) for `size`
    indices from `first` on, on torch's threads. In a copy of a process that had several threads (`os.fork`),
    one thread does. It returns 0, or another result of a task. None where torch has no OpenMP of this form.
    """
    run_on_all = _run_on_all()
    if run_on_all is None:
        return None
    code = NativeCode(_LOOP.format(run_on_all=address_of(run_on_all)))
    is_alone = ctypes.c_int32.from_address(code.place("is_alone"))
    threads_before = 1

    def count() -> None:
        nonlocal threads_before
        threads_before = len(list(Path("/proc/self/task").iterdir()))

    def go_on_alone() -> None:
        # A copy of a process has none of its threads, and OpenMP would wait for them.
        is_alone.value |= threads_before > 1

    os.register_at_fork(before=count, after_in_child=go_on_alone)
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    return code.function("parallel_loop", number, pointer, pointer, number, number, pointer)


def address_of(function: Any) -> int:
    """Where the code of a ctypes function begins."""
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address


def _run_on_all() -> Any | None:
    """OpenMP's function, in the library that torch's own has loaded; None where there is none."""
    if sys.platform != "linux":
        return None
    try:
        return ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")).GOMP_parallel
    except (OSError, AttributeError):
        return None
