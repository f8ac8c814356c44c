"""Shows the progress of training: on a terminal a bar with the last epoch's figures, elsewhere a line every
10 s.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from addercost.train.epochs import EpochRow
    from addercost.train.run import Watch

_EVERY_S = 10.0


@contextmanager
def train_progress(quiet: bool) -> Iterator[Watch]:
    """The functions that training calls with its progress. With `quiet` they print nothing."""
    from addercost.train.run import Watch

    if quiet:
        yield Watch()
    elif sys.stderr.isatty():
        yield from _bar()
    else:
        yield _lines()


def _bar() -> Iterator[Watch]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from addercost.text import printable
    from addercost.train.run import Watch

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("epoch", total=None, last="")
        epochs = 0

        def on_step(epoch: int, done: int, steps: int) -> None:
            progress.update(
                task,
                description=f"epoch {epoch + 1}",
                completed=epoch * steps + done,
                total=epochs * steps if epochs else None,
            )

        def on_row(row: EpochRow, total: int) -> None:
            nonlocal epochs
            epochs = total
            progress.update(task, last=_text(row))

        def on_remark(text: str) -> None:
            progress.console.print(printable(text), markup=False, highlight=False)

        yield Watch(on_step, on_row, on_remark)


def _lines() -> Watch:
    from addercost.text import printable
    from addercost.train.run import Watch

    last = time.monotonic()

    def on_row(row: EpochRow, epochs: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY_S or row.epoch == epochs:
            last = time.monotonic()
            print(f"epoch {row.epoch} of {epochs}: {_text(row)}", file=sys.stderr, flush=True)

    return Watch(row=on_row, remark=lambda text: print(printable(text), file=sys.stderr))


def _text(row: EpochRow) -> str:
    return (
        f"loss {row.train_loss:.4g}, test loss {row.test_loss:.4g}, "
        f"test accuracy {row.test_accuracy_percent:.2f} %"
    )
