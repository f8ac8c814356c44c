"""Runs native loops over large images on as many threads as torch may use."""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch

from addercost.kernels.cpu.ir.native import NativeCode
from addercost.kernels.cpu.torch_threads import address_of, parallel_loop

LEAST_ELEMENTS = 1 << 16
"""The fewest elements in a thread's share. A thread of torch that waits without sleeping begins within some
microseconds. On an Emerald Rapids core depthwise layers of 200,000 elements take 0.65 to 0.75 times as long
on two threads.
"""


class Share(NamedTuple):
    """Some of the images, or some rows of all images."""

    first_image: int
    images: int
    first_row: int
    rows: int


class NativeCall(NamedTuple):
    """The call of a loop on one share: the function, the bytes from the start of source and target to this
    share, and the function's numbers, an array of 64-bit integers. The function takes the addresses of other
    operands before those of source and target.
    """

    function: Any
    source_byte: int
    target_byte: int
    numbers: ctypes.Array[ctypes.c_int64]


def shares(images: int, rows: int, elements: int, threads: int) -> list[Share]:
    """Divides `images` of `rows` rows each into equal shares, one for each thread. elements: of all images
    together; if they are few, there are fewer shares.
    """
    number = max(1, min(threads, elements // LEAST_ELEMENTS))
    if images >= number:
        return [Share(first, size, 0, rows) for first, size in _parts(images, number)]
    if rows >= number:
        return [Share(0, images, first, size) for first, size in _parts(rows, number)]
    return [Share(0, images, 0, rows)]


def by_streams(rows: int, streams: int) -> list[tuple[int, int, int]]:
    """(first row, rows, streams) of the part that a loop reads from so many places at once, whose rows divide
    by `streams`, and of the rest, which is read from one place. Empty parts are left out.
    """
    together = rows // streams * streams
    return [part for part in ((0, together, streams), (together, rows - together, 1)) if part[1]]


def _parts(size: int, number: int) -> list[tuple[int, int]]:
    ends = [size * part // number for part in range(number + 1)]
    return [(begin, end - begin) for begin, end in pairwise(ends)]


def run_shares(calls: tuple[NativeCall, ...], source: int, target: int, others: tuple[int, ...] = ()) -> int:
    """Runs all calls on memory at these addresses. others: the addresses of operands that every share reads
    whole. Returns 0, or a result of a call that is not 0.
    """
    threads = torch.get_num_threads() if len(calls) > 1 else 1
    loop = parallel_loop() if threads > 1 else None
    if loop is not None:
        words = [word for call in calls for word in _words(source, target, others, call)]
        task = address_of(_task(len(words) // len(calls), calls[0].function.restype is not None))
        result: int = loop(None, task, 0, len(calls), (ctypes.c_int64 * len(words))(*words))
        return result
    if threads > 1:
        return max(_threads(os.getpid(), threads).map(partial(_run, source, target, others), calls))
    return max([_run(source, target, others, call) for call in calls])


def _run(source: int, target: int, others: tuple[int, ...], call: NativeCall) -> int:
    result = call.function(*others, source + call.source_byte, target + call.target_byte, call.numbers)
    return result or 0


def _words(source: int, target: int, others: tuple[int, ...], call: NativeCall) -> tuple[int, ...]:
    """The same call as numbers: the function's address, and its arguments."""
    places = source + call.source_byte, target + call.target_byte, ctypes.addressof(call.numbers)
    return (address_of(call.function), *others, *places)


@cache
def _task(words: int, returns: bool) -> Any:
    """A task of `parallel_loop` that makes one of many calls, each of so many words: the address of a
    function, and pointers to give it. returns: whether it returns a number.
    """
    loads = "".join(
        f"%at{i} = getelementptr i64, ptr %first, i32 {i}\n%word{i} = load ptr, ptr %at{i}\n"
        for i in range(words)
    )
    arguments = ", ".join(f"ptr %word{i}" for i in range(1, words))
    call = f"call i32 %word0({arguments})" if returns else f"call void %word0({arguments})"
    text = f"""
define i32 @task(ptr %context, i32 %index, ptr %calls) {{
%before = mul i32 %index, {words}
%first = getelementptr i64, ptr %calls, i32 %before
{loads}
{"%result = " if returns else ""}{call}
ret i32 {"%result" if returns else "0"}
}}
"""
    code = NativeCode(text)
    return code.function("task", ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p)


@cache
def _threads(process: int, number: int) -> ThreadPoolExecutor:
    # A forked process has none of its parent's threads, so each process has a pool of its own.
    return ThreadPoolExecutor(number, thread_name_prefix="addercost")
