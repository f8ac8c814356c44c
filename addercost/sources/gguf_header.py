"""The header of a GGUF file: metadata, and the names, types and shapes of its tensors. No weight is read.

The layout is described in `docs/gguf.md` of the ggml repository, and the blocks in `ggml-common.h`. Every
count and length is checked against the remaining bytes before it is used. So a hostile file causes an error
before more is read than the file has.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from addercost.errors import DataError
from addercost.text import printable

MAGIC = b"GGUF"

MOST_VALUES = 1024
"""Arrays of numbers are kept up to this length; of longer ones, such as a tokenizer's, only the length."""

_LONGEST_NAME, _LONGEST_TEXT, _MOST_AXES = 1024, 4096, 8
_DEFAULT_ALIGNMENT = 32

BLOCKS: Mapping[int, tuple[str, int, int]] = {
    0: ("f32", 1, 4), 1: ("f16", 1, 2), 2: ("q4_0", 32, 18), 3: ("q4_1", 32, 20), 6: ("q5_0", 32, 22),
    7: ("q5_1", 32, 24), 8: ("q8_0", 32, 34), 9: ("q8_1", 32, 36), 10: ("q2_k", 256, 84),
    11: ("q3_k", 256, 110), 12: ("q4_k", 256, 144), 13: ("q5_k", 256, 176), 14: ("q6_k", 256, 210),
    15: ("q8_k", 256, 292), 16: ("iq2_xxs", 256, 66), 17: ("iq2_xs", 256, 74), 18: ("iq3_xxs", 256, 98),
    19: ("iq1_s", 256, 50), 20: ("iq4_nl", 32, 18), 21: ("iq3_s", 256, 110), 22: ("iq2_s", 256, 82),
    23: ("iq4_xs", 256, 136), 24: ("i8", 1, 1), 25: ("i16", 1, 2), 26: ("i32", 1, 4), 27: ("i64", 1, 8),
    28: ("f64", 1, 8), 29: ("iq1_m", 256, 56), 30: ("bf16", 1, 2), 34: ("tq1_0", 256, 54),
    35: ("tq2_0", 256, 66), 39: ("mxfp4", 32, 17), 40: ("nvfp4", 64, 36), 41: ("q1_0", 128, 18),
}  # fmt: skip
"""(name, elements of a block, its bytes) by the number of a tensor's type."""

_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
"""Formats of `struct` by the number of a value's type."""
_TEXT, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class Omitted:
    """Stands for an array whose values are not kept. length: how many values it has."""

    length: int


MetaValue: TypeAlias = "bool | int | float | str | tuple[bool | int | float | str, ...] | Omitted"


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor of the file. type: a name of `BLOCKS`. shape: in torch's order, with the contiguous axis
    last.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    n_bytes: int

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The header. metadata: values by key, such as "llama.block_count"."""

    version: int
    metadata: Mapping[str, MetaValue]
    tensors: tuple[GgufTensor, ...]

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the architecture, such as "llama"; "" where the file has none."""
        value = self.metadata.get("general.architecture", "")
        return value if isinstance(value, str) else ""

    @property
    def parameters(self) -> int:
        return sum(tensor.numel for tensor in self.tensors)

    def setting(self, name: str) -> MetaValue | None:
        """A setting of the architecture: `setting("block_count")` is the value of "llama.block_count"."""
        return self.metadata.get(f"{self.architecture}.{name}")


def read_gguf(path: Path) -> GgufHeader:
    """The header of a file. Raises DataError for a file that is no GGUF file, is cut off, or has an unknown
    type.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise DataError(f"{path} is not a GGUF file: it does not begin as one", "name another file")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(data, str(path)).header()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None


class _Reader:
    def __init__(self, data: mmap.mmap, where: str) -> None:
        self._data, self._where = data, where
        self._at = len(MAGIC)
        self._order = "<"

    def header(self) -> GgufHeader:
        version = self._version()
        n_tensors, n_entries = self._number("Q"), self._number("Q")
        # A tensor's description takes at least 24 bytes, an entry of the metadata 13.
        if 24 * n_tensors + 13 * n_entries > len(self._data):
            raise self._damaged(f"it says that it has {n_tensors:,} tensors and {n_entries:,} entries")
        metadata: dict[str, MetaValue] = {}
        for _ in range(n_entries):
            key = self._text(_LONGEST_NAME)
            if key in metadata:
                raise self._damaged(f"it has {key!r} twice")
            metadata[key] = self._value(self._number("I"), key)
        tensors: dict[str, GgufTensor] = {}
        ends: list[tuple[int, str]] = []
        alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        for _ in range(n_tensors):
            tensor, offset = self._tensor()
            if tensor.name in tensors:
                raise self._damaged(f"it has the tensor {tensor.name!r} twice")
            tensors[tensor.name] = tensor
            ends.append((offset + tensor.n_bytes, tensor.name))
        if not isinstance(alignment, int) or isinstance(alignment, bool) or alignment <= 0:
            raise self._damaged(f"its alignment is {alignment!r}")
        start = -(-self._at // alignment) * alignment
        last, name = max(ends, default=(0, ""))
        if ends and start + last > len(self._data):
            raise DataError(
                f"{self._where} is cut off: the tensor {printable(name)!r} ends at byte {start + last:,} of "
                f"{len(self._data):,}",
                "download or copy it again",
            )
        return GgufHeader(version, metadata, tuple(tensors.values()))

    def _version(self) -> int:
        version = self._number("I")
        if version >= 1 << 16:
            # Files for processors of the other byte order begin with the same four letters.
            self._order, self._at = ">", len(MAGIC)
            version = self._number("I")
        if version not in (2, 3):
            raise DataError(
                f"{self._where} is written in version {version} of GGUF; versions 2 and 3 are read",
                "convert it with a newer llama.cpp" if version < 2 else "update addercost",
            )
        return version

    def _tensor(self) -> tuple[GgufTensor, int]:
        name = self._text(_LONGEST_NAME)
        axes = self._number("I")
        if axes > _MOST_AXES:
            raise self._damaged(f"the tensor {name!r} has {axes:,} axes")
        sizes = tuple(self._number("Q") for _ in range(axes))
        number, offset = self._number("I"), self._number("Q")
        if number not in BLOCKS:
            raise DataError(
                f"{self._where}: the tensor {printable(name)!r} has type {number}, which is not known",
                f"known: {', '.join(entry[0] for entry in BLOCKS.values())}",
            )
        kind, block, n_bytes = BLOCKS[number]
        if (sizes[0] if sizes else 1) % block:
            raise self._damaged(f"rows of the tensor {name!r} are no whole blocks of {block}")
        total = math.prod(sizes) // block * n_bytes
        return GgufTensor(name, sizes[::-1], kind, total), offset

    def _value(self, number: int, key: str) -> MetaValue:
        if number == _TEXT:
            return self._text(None)
        if number == _ARRAY:
            return self._array(key)
        if number not in _SCALARS:
            raise self._damaged(f"{key!r} is of the unknown type {number}")
        value: bool | int | float = self._number(_SCALARS[number])
        return value

    def _array(self, key: str) -> MetaValue:
        number, length = self._number("I"), self._number("Q")
        kept = length <= MOST_VALUES
        if number == _TEXT:
            self._need(8 * length)
            if kept:
                return tuple([self._text(None) for _ in range(length)])
            for _ in range(length):
                self._skip(self._number("Q"))
            return Omitted(length)
        if number not in _SCALARS:
            raise self._damaged(f"{key!r} is an array of the unknown type {number}")
        size = struct.calcsize(f"={_SCALARS[number]}")
        self._need(size * length)
        if kept:
            return tuple([self._number(_SCALARS[number]) for _ in range(length)])
        self._skip(size * length)
        return Omitted(length)

    def _text(self, longest: int | None) -> str:
        """A text in UTF-8. Only the beginning is kept of a text without a limit."""
        length = self._number("Q")
        if longest is not None and length > longest:
            raise self._damaged(f"a name is {length:,} bytes long")
        begin = self._at
        self._skip(length)
        return self._data[begin : begin + min(length, _LONGEST_TEXT)].decode("utf-8", "replace")

    def _number(self, kind: str) -> int:
        layout = f"{self._order}{kind}"
        begin = self._at
        self._skip(struct.calcsize(layout))
        value: int = struct.unpack_from(layout, self._data, begin)[0]
        return value

    def _skip(self, n_bytes: int) -> None:
        self._need(n_bytes)
        self._at += n_bytes

    def _need(self, n_bytes: int) -> None:
        if n_bytes > len(self._data) - self._at:
            raise DataError(
                f"{self._where} is cut off: its header goes on after its {len(self._data):,} bytes",
                "download or copy it again",
            )

    def _damaged(self, what: str) -> DataError:
        return DataError(f"{self._where} is damaged: {printable(what)}", "download or copy it again")
