"""Runs native loops over large images on as many threads as torch may use."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

LEAST_ELEMENTS = 1 << 20
"""The fewest elements in a thread's share. For fewer, waking the thread takes longer than its work."""


class Share(NamedTuple):
    """Some of the images, or some rows of all images."""

    first_image: int
    images: int
    first_row: int
    rows: int


class NativeCall(NamedTuple):
    """The call of a loop on one share: the function, the bytes from the start of source and target to this
    share, and the function's numbers. The function takes the addresses of other operands before those of
    source and target.
    """

    function: Callable[..., Any]
    source_byte: int
    target_byte: int
    numbers: Any


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
    whole. Returns the largest of the calls' results, or 0 where they return nothing.
    """
    if len(calls) == 1:
        return _run(source, target, others, calls[0])
    return max(_threads(os.getpid(), len(calls)).map(partial(_run, source, target, others), calls))


def _run(source: int, target: int, others: tuple[int, ...], call: NativeCall) -> int:
    result = call.function(*others, source + call.source_byte, target + call.target_byte, call.numbers)
    return result or 0


@cache
def _threads(process: int, number: int) -> ThreadPoolExecutor:
    # A forked process has none of its parent's threads, so each process has a pool of its own.
    return ThreadPoolExecutor(number, thread_name_prefix="addercost")
