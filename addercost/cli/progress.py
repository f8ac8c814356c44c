"""A spinner, on a terminal, for work that takes more than a second. Elsewhere nothing is printed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_DELAY_S = 1.0


@contextmanager
def progress(text: str, quiet: bool = False) -> Iterator[None]:
    """Shows `text` on stderr while the block runs, once it has run for a second."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_spin, args=(text, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _spin(text: str, done: threading.Event) -> None:
    if done.wait(_DELAY_S):
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        done.wait()
