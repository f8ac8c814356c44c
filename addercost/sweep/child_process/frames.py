"""Messages on a pipe: each is a pickle preceded by its length."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable
from typing import IO, Any

_LENGTH = struct.Struct("<Q")
_READ_BYTES = 1 << 18


def write_messages(stream: IO[bytes], *messages: Any) -> None:
    """Writes all messages with as few system calls as the pipe allows."""
    frames = bytearray()
    for message in messages:
        data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        frames += _LENGTH.pack(len(data)) + data
    left = memoryview(frames)
    while left:
        left = left[stream.write(left) :]
    stream.flush()


class MessageReader:
    """Reads the messages of a stream. Nothing else may read the stream, since all bytes that have arrived are
    taken.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._descriptor = stream.fileno()
        self._read = bytearray()

    def next(self, wait: Callable[[], None] = lambda: None) -> Any:
        """The next message. wait: called before each read that may block. Raises EOFError where the other
        process has closed its end.
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
