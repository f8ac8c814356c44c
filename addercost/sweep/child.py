"""The process that runs the users' factories and forwards, driven through its pipes by `sweep.worker`.

It stands alone so that it can be killed: whatever hangs, crashes or eats memory in it costs one architecture.
Frames are pickles preceded by their length. In: a request, which says what the architectures from `start` on
are called. Out: for each a finding that says it begins and one that says what was found; None at the end.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

from addercost.errors import AddercostError
from addercost.sweep.measured import ArchitectureTimes
from addercost.sweep.requests import Examine, Time
from addercost.sweep.space import Architecture, Space
from addercost.sweep.tally import ArchitectureTally

if TYPE_CHECKING:
    from addercost.sweep.architecture import Examiner
    from addercost.sweep.supervise import Finding
    from addercost.sweep.timing import Stopwatch

_LENGTH = struct.Struct("<Q")
_READ_BYTES = 1 << 18
_HELD_S = 0.02
"""To wake the other process for each finding takes a tenth of what tracing a small network does."""
_PR_SET_PDEATHSIG = 1


def write_frame(stream: IO[bytes], *messages: Any) -> None:
    frames = bytearray()
    for message in messages:
        data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        frames += _LENGTH.pack(len(data)) + data
    left = memoryview(frames)
    while left:
        left = left[stream.write(left) :]
    stream.flush()


class Frames:
    """The messages that arrive at a stream, which nobody else reads: as many as are there at a time."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._descriptor = stream.fileno()
        self._read = bytearray()

    def next(self, wait: Callable[[], None] = lambda: None) -> Any:
        """The next message. wait: called before each attempt to read what is not there yet. Raises EOFError
        where the other side has gone.
        """
        size = _LENGTH.size
        while len(self._read) < size or len(self._read) < size + _LENGTH.unpack_from(self._read)[0]:
            wait()
            part = os.read(self._descriptor, _READ_BYTES)
            if not part:
                raise EOFError
            self._read += part
        end = size + _LENGTH.unpack_from(self._read)[0]
        message = bytes(self._read[size:end])
        del self._read[:end]
        return pickle.loads(message)


def main(memory_limit_bytes: int) -> None:
    """Serves requests until its standard input ends."""
    _end_with_the_parent()
    inbox, outbox = Frames(sys.stdin.buffer), os.fdopen(os.dup(1), "wb")
    # What users' code prints must not get between the frames.
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    import torch

    # Tracing computes nothing, and idle threads of many workers would only take turns.
    torch.set_num_threads(1)
    if memory_limit_bytes:
        _limit_memory(memory_limit_bytes)
    from addercost.sweep.architecture import Examiner

    examiner = Examiner()
    # Blocks are kept by the ten thousand and hold no cycles: looking through them for some takes long.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    spaces: dict[Any, Space] = {}
    stopwatch: Stopwatch | None = None
    while True:
        try:
            request: Examine | Time = inbox.next()
        except EOFError:
            return
        if request.source not in spaces:
            spaces = {request.source: Space(request.source)}
        space = spaces[request.source]
        found: Iterator[Finding]
        if isinstance(request, Time):
            try:
                if stopwatch is None or stopwatch.settings != request.settings:
                    from addercost.sweep.timing import open_stopwatch

                    stopwatch = open_stopwatch(request.settings)
            except AddercostError as error:
                write_frame(outbox, error)
                continue
            found = _timed(stopwatch, space, request)
        else:
            examiner.new_chunk()
            found = _examined(examiner, space, request)
        together = isinstance(request, Examine) and request.together
        held: list[Finding] = []
        sent_s = 0.0
        for finding in found:
            held.append(finding)
            # What is sent ends with what begins, so that the other side knows what it waits for.
            if not together or (finding.begins and time.monotonic() - sent_s > _HELD_S):
                write_frame(outbox, *held)
                held, sent_s = [], time.monotonic()
        write_frame(outbox, *held, None)


def _examined(examiner: Examiner, space: Space, request: Examine) -> Iterator[ArchitectureTally]:
    for index, name, member in _members(space, enumerate(request.names, request.start)):
        if isinstance(member, str):
            yield ArchitectureTally(index, name, {}, error=member)
        elif index not in request.skip:
            yield ArchitectureTally(index, name, member.facts)
            yield examiner.examine(member, index, request.settings)


def _timed(stopwatch: Stopwatch, space: Space, request: Time) -> Iterator[ArchitectureTimes]:
    for index, name, member in _members(space, request.members):
        if isinstance(member, str):
            yield ArchitectureTimes(index, name, error=member)
        else:
            yield ArchitectureTimes(index, name)
            yield stopwatch.time(member, index)


def _members(
    space: Space, wanted: Iterable[tuple[int, str]]
) -> Iterator[tuple[int, str, Architecture | str]]:
    """(index, name, the architecture, or why there is none of that name), for rising indices."""
    from addercost.sweep.architecture import described

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


def _end_with_the_parent() -> None:
    """Asks Linux to kill this process with its parent; elsewhere the end of its input has to do."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit_memory(limit_bytes: int) -> None:
    """Lets private memory grow to about `limit_bytes` resident: beyond it allocations raise MemoryError."""
    import resource

    private, resident = 0, 0
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
        for line in status:
            if line.startswith("VmData:"):
                private = int(line.split()[1]) * 1024
            elif line.startswith("VmRSS:"):
                resident = int(line.split()[1]) * 1024
    # What is mapped but not yet touched, such as the stacks of threads, is not charged to the user.
    soft = max(limit_bytes + private - resident, private + (64 << 20))
    resource.setrlimit(resource.RLIMIT_DATA, (soft, resource.getrlimit(resource.RLIMIT_DATA)[1]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
