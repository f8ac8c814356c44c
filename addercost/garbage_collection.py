"""Rests Python's search for reference cycles where much is made that has none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Inside the block no reference cycles are searched for. Objects outside of cycles are still freed.

    Imports, traces without data and counts make a million objects that stay, and Python would look through
    all of them again and again. Inside the block nothing may hold much memory in cycles.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
