"""The process that runs the factories and forwards of users: `python -m addercost.sweep.child_process BYTES`.

It is separate from the worker so that it can be killed: code that hangs, crashes or uses up memory loses one
architecture only. Requests arrive on its standard input. The answer to a request is a `Started` and a result
for each architecture, and None at the end; or an AddercostError where the request cannot be answered at all.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

from addercost.errors import AddercostError
from addercost.supervision import end_with_the_parent
from addercost.sweep.child_process.frames import MessageReader, write_messages
from addercost.sweep.child_process.limits import collect_garbage_rarely, limit_memory
from addercost.sweep.child_process.messages import Started, TallyRequest, TimeRequest
from addercost.sweep.measurement import ArchitectureTimes
from addercost.sweep.spaces.architecture import Architecture
from addercost.sweep.spaces.space import Space
from addercost.sweep.tally import ArchitectureTally

if TYPE_CHECKING:
    from addercost.sweep.child_process.architecture_counter import ArchitectureCounter
    from addercost.sweep.child_process.stopwatch import Stopwatch

_BATCH_S = 0.02
"""How long messages are collected before they are written together: waking the worker takes a tenth as long
as tracing a small network.
"""


def main(memory_limit_bytes: int) -> None:
    """Answers requests until the standard input ends. A memory limit of 0 means no limit."""
    end_with_the_parent(os.getppid())
    inbox, outbox = MessageReader(sys.stdin.buffer), os.fdopen(os.dup(1), "wb")
    # Prints of users' code must not get between the messages.
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    import torch

    # Tracing computes nothing, and idle threads of many workers would only take processor time.
    torch.set_num_threads(1)
    if memory_limit_bytes:
        limit_memory(memory_limit_bytes)
    from addercost.sweep.child_process.architecture_counter import ArchitectureCounter

    counter = ArchitectureCounter()
    collect_garbage_rarely()
    space: Space | None = None
    stopwatch: Stopwatch | None = None
    while True:
        try:
            request: TallyRequest | TimeRequest = inbox.next()
        except EOFError:
            return
        if space is None or space.source != request.source:
            space = Space(request.source)
        if isinstance(request, TallyRequest):
            _send(outbox, _tallies(counter, space, request), request.batched)
            continue
        try:
            if stopwatch is None or stopwatch.settings != request.settings:
                from addercost.sweep.child_process.stopwatch import open_stopwatch

                stopwatch = open_stopwatch(request.settings)
        except AddercostError as error:
            write_messages(outbox, error)
            continue
        _send(outbox, _times(stopwatch, space, request), batched=False)


def _send(outbox: IO[bytes], messages: Iterable[Any], batched: bool) -> None:
    """Writes messages one by one or in batches, and None after the last.

    A batch ends with `Started`, since the worker limits its wait only while an architecture is known to run.
    """
    batch: list[Any] = []
    sent_s = 0.0
    for message in messages:
        batch.append(message)
        if not batched or (isinstance(message, Started) and time.monotonic() - sent_s > _BATCH_S):
            write_messages(outbox, *batch)
            batch, sent_s = [], time.monotonic()
    write_messages(outbox, *batch, None)


def _tallies(
    counter: ArchitectureCounter, space: Space, request: TallyRequest
) -> Iterator[Started | ArchitectureTally]:
    from addercost.trace.attention import whole_attention

    counter.new_chunk()
    # Each trace would register the kernel of attention anew, which takes a tenth of the time of a small
    # network.
    with whole_attention():
        for index, name, member in _members(space, enumerate(request.names, request.start)):
            if isinstance(member, str):
                yield ArchitectureTally(index, name, {}, error=member)
            elif index not in request.skip:
                yield Started(index, name, member.facts)
                yield counter.tally(member, index, request.settings, request.parts)


def _times(stopwatch: Stopwatch, space: Space, request: TimeRequest) -> Iterator[Started | ArchitectureTimes]:
    for index, name, member in _members(space, request.members):
        if isinstance(member, str):
            yield ArchitectureTimes(index, name, error=member)
        else:
            yield Started(index, name, {})
            yield stopwatch.time(member, index)


def _members(
    space: Space, wanted: Iterable[tuple[int, str]]
) -> Iterator[tuple[int, str, Architecture | str]]:
    """(index, name, the architecture or the reason why there is none) by rising indices."""
    from addercost.sweep.child_process.architecture_counter import described

    for index, name in wanted:
        try:
            architecture = next(space.slice(index, index + 1), None)
        except Exception as error:
            yield index, name, described(error)
            continue
        if architecture is None or architecture.name != name:
            found = "has ended" if architecture is None else f"yields {architecture.name!r}"
            text = f"the space {found} here in a worker: it must be the same every time it is walked"
            yield index, name, text
        else:
            yield index, name, architecture


if __name__ == "__main__":
    main(int(sys.argv[1]))
