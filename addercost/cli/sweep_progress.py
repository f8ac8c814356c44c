"""Shows the progress of a sweep: on a terminal a bar with rate and remaining time, elsewhere a line every 30
s.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from addercost.cli.sweep_text import duration

_EVERY_S = 30.0


@contextmanager
def sweep_progress(architectures: int, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Yields a function to call with (architectures, failed) of each finished chunk."""
    if quiet:
        yield lambda done, failed: None
    elif sys.stderr.isatty():
        yield from _bar(architectures)
    else:
        yield _lines(architectures)


def _bar(architectures: int) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}{task.fields[failed]}"),
        TimeRemainingColumn(),
    )
    start, total_failed, seen = time.monotonic(), 0, 0
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=architectures, rate="", failed="")

        def on_chunk(done: int, failed: int) -> None:
            nonlocal total_failed, seen
            seen, total_failed = seen + done, total_failed + failed
            rate = seen / max(time.monotonic() - start, 1e-9)
            text = f", {total_failed:,} failed" if total_failed else ""
            progress.update(task, advance=done, rate=_per_time(rate), failed=text)

        yield on_chunk


def _lines(architectures: int) -> Callable[[int, int], None]:
    start = last = time.monotonic()
    seen = 0

    def on_chunk(done: int, failed: int) -> None:
        nonlocal last, seen
        seen += done
        now = time.monotonic()
        if now - last >= _EVERY_S:
            last = now
            rate = seen / (now - start)
            left = (architectures - seen) / rate
            text = f"{seen:,} of {architectures:,}, {_per_time(rate)}, {duration(left)} left"
            print(text, file=sys.stderr)

    return on_chunk


def _per_time(rate_hz: float) -> str:
    """`40/s`, or `7/min` below one a second."""
    return f"{rate_hz:,.0f}/s" if rate_hz >= 1 else f"{60 * rate_hz:.0f}/min"
