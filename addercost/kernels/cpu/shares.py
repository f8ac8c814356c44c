"""Native loops over large images on as many threads as torch is set to use."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

LEAST_ELEMENTS = 1 << 20
"""The fewest of a thread's share. Below, waking a thread takes longer than its work."""


class Share(NamedTuple):
    """Some images, or some rows of all images."""

    first_image: int
    images: int
    first_row: int
    rows: int


class NativeCall(NamedTuple):
    """One share of a loop: the function, where its source and target begin, and its numbers."""

    function: Callable[[int, int, Any], Any]
    source_byte: int
    target_byte: int
    numbers: Any


def shares(images: int, rows: int, elements: int, threads: int) -> list[Share]:
    """`elements` in `images` of `rows` each, in equal parts for up to `threads`."""
    number = max(1, min(threads, elements // LEAST_ELEMENTS))
    if images >= number:
        return [Share(first, size, 0, rows) for first, size in _parts(images, number)]
    if rows >= number:
        return [Share(0, images, first, size) for first, size in _parts(rows, number)]
    return [Share(0, images, 0, rows)]


def _parts(size: int, number: int) -> list[tuple[int, int]]:
    ends = [size * part // number for part in range(number + 1)]
    return [(begin, end - begin) for begin, end in pairwise(ends)]


def run_shares(calls: tuple[NativeCall, ...], source: int, target: int) -> int:
    """Runs all of `calls` on memory at these addresses; the largest of what they return, 0 where nothing."""
    if len(calls) == 1:
        (call,) = calls
        return call.function(source + call.source_byte, target + call.target_byte, call.numbers) or 0
    return max(_threads(os.getpid(), len(calls)).map(partial(_run, source, target), calls))


def _run(source: int, target: int, call: NativeCall) -> int:
    return call.function(source + call.source_byte, target + call.target_byte, call.numbers) or 0


@cache
def _threads(process: int, number: int) -> ThreadPoolExecutor:
    # A forked process has none of its parent's threads.
    return ThreadPoolExecutor(number, thread_name_prefix="addercost")
