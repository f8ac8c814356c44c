"""GGUF files: metadata and tensors as they were written, damage refused in one line. Needs no torch."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from addercost.cli import run
from addercost.errors import AddercostError, DataError
from addercost.sources.gguf_header import MOST_VALUES, Omitted, read_gguf

TEXT, ARRAY = 8, 9


def text(value: str, order: str = "<") -> bytes:
    data = value.encode()
    return struct.pack(f"{order}Q", len(data)) + data


def entry(key: str, kind: int, value: Any, order: str = "<") -> bytes:
    """A key with a value. value: bytes are taken as they are."""
    formats = {0: "B", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q"}
    if kind == TEXT:
        data = text(value, order)
    elif isinstance(value, bytes):
        data = value
    else:
        data = struct.pack(f"{order}{formats[kind]}", value)
    return text(key, order) + struct.pack(f"{order}I", kind) + data


def tensor(name: str, sizes: tuple[int, ...], kind: int, offset: int, order: str = "<") -> bytes:
    """sizes: in the file's order, the axis whose elements are neighbours first."""
    made = text(name, order) + struct.pack(f"{order}I", len(sizes))
    made += struct.pack(f"{order}{len(sizes)}Q", *sizes)
    return made + struct.pack(f"{order}IQ", kind, offset)


def file(
    entries: list[bytes], tensors: list[bytes], weights: int, version: int = 3, order: str = "<"
) -> bytes:
    head = b"GGUF" + struct.pack(f"{order}IQQ", version, len(tensors), len(entries))
    head += b"".join((*entries, *tensors))
    return head + bytes(-len(head) % 32) + bytes(weights)


ENTRIES = [
    entry("general.architecture", TEXT, "llama"),
    entry("llama.block_count", 4, 2),
    entry("llama.rope.freq_base", 6, 0.5),
    entry("llama.attention.head_count_kv", ARRAY, struct.pack("<IQ2I", 4, 2, 8, 4)),
    entry("tokenizer.ggml.tokens", ARRAY, struct.pack("<IQ", TEXT, 2000) + 2000 * text("ab")),
]
TENSORS = [
    # 256·3 weights of 4 bits in blocks of 256, 144 bytes each: 432 bytes; the next multiple of 32 is 448.
    tensor("blk.0.attn_q.weight", (256, 3), 12, 0),
    # 5 numbers of 4 bytes.
    tensor("output_norm.weight", (5,), 0, 448),
]
GOOD = file(ENTRIES, TENSORS, 448 + 20)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(GOOD)
    return path


def test_header(good: Path) -> None:
    header = read_gguf(good)
    assert (header.version, header.architecture, header.parameters) == (3, "llama", 773)
    assert header.setting("block_count") == 2
    assert header.setting("attention.head_count_kv") == (8, 4)
    assert header.metadata["llama.rope.freq_base"] == 0.5
    assert header.metadata["tokenizer.ggml.tokens"] == Omitted(2000)
    assert MOST_VALUES < 2000
    assert [(t.name, t.shape, t.type, t.n_bytes) for t in header.tensors] == [
        ("blk.0.attn_q.weight", (3, 256), "q4_k", 432),
        ("output_norm.weight", (5,), "f32", 20),
    ]


def test_the_other_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "big.gguf"
    entries = [entry("general.architecture", TEXT, "gpt2", ">")]
    path.write_bytes(file(entries, [tensor("w", (4, 2), 1, 0, ">")], 16, order=">"))
    header = read_gguf(path)
    assert (header.architecture, header.tensors[0].shape, header.tensors[0].n_bytes) == ("gpt2", (2, 4), 16)


def test_no_weight_is_read(tmp_path: Path) -> None:
    """A file of a terabyte, all of it a hole."""
    path = tmp_path / "huge.gguf"
    path.write_bytes(file(ENTRIES[:1], [tensor("w", (1 << 20, 1 << 18), 0, 0)], 0))
    with path.open("r+b") as opened:
        opened.truncate((1 << 40) + (1 << 20))
    assert read_gguf(path).parameters == 1 << 38


def test_profile_prints_bytes_by_type(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", str(good), "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0] == {"type": "q4_k", "tensors": 1, "parameters": 768, "bytes": 432, "bits": 4.5}
    assert run(["profile", str(good)]) == 0
    shown = capsys.readouterr().out
    assert "llama, GGUF version 3" in shown and "block_count 2" in shown and "8 or 4 by block" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("compare",), 3, "773 parameters) and no forward to count"),
        (("profile", "--cpu", "amd-zen4"), 2, "--cpu has nothing to work on"),
        (("profile", "--batch", "2"), 2, "--batch has nothing to work on"),
    ],
    ids=["compare", "a processor", "a batch"],
)
def test_what_needs_a_forward_is_refused(
    arguments: tuple[str, ...], code: int, words: str, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, str(good)]) == code
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


HUGE = 1 << 62
DAMAGED = {
    "empty": (b"", "cannot read|does not begin"),
    "another file": (b"PK\x03\x04" + bytes(100), "does not begin as one"),
    "version 1": (b"GGUF" + struct.pack("<III", 1, 0, 0) + bytes(40), "version 1"),
    "a version to come": (b"GGUF" + struct.pack("<IQQ", 4, 0, 0), "update addercost"),
    "tensors without end": (b"GGUF" + struct.pack("<IQQ", 3, HUGE, 0), "it says that it has"),
    "entries without end": (b"GGUF" + struct.pack("<IQQ", 3, 0, HUGE), "it says that it has"),
    "a text without end": (
        file([text("k") + struct.pack("<IQ", TEXT, HUGE) + bytes(20)], [], 0),
        "cut off",
    ),
    "an array without end": (
        file([text("k") + struct.pack("<IIQ", ARRAY, 4, HUGE) + bytes(20)], [], 0),
        "cut off",
    ),
    "texts without end": (
        file([text("k") + struct.pack("<IIQ", ARRAY, TEXT, 1 << 40) + bytes(20)], [], 0),
        "cut off",
    ),
    "arrays in arrays": (
        file([text("k") + struct.pack("<IIQ", ARRAY, ARRAY, 2) + bytes(20)], [], 0),
        "array of the unknown type 9",
    ),
    "a key twice": (file([ENTRIES[0]] * 2, [], 0), "twice"),
    "a tensor twice": (file([], [TENSORS[1]] * 2, 1000), "twice"),
    "an unknown type": (file([], [tensor("w", (4,), 4, 0)], 100), "type 4, which is not known"),
    "half a block": (file([], [tensor("w", (100,), 12, 0)], 1000), "no whole blocks of 256"),
    "many axes": (file([], [tensor("w", (1,) * 9, 0, 0)], 100), "9 axes"),
    "weights beyond the end": (file([], [tensor("w", (100,), 0, 0)], 399), "ends at byte"),
    "an alignment of nothing": (
        file([entry("general.alignment", 4, 0)], [], 0),
        "alignment",
    ),
    "a name that prints": (
        file([], [tensor("\x1b[2J", (4,), 99, 0)], 100),
        r"\\x1b\[2J",
    ),
}


@pytest.mark.parametrize(("data", "words"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_one_line(
    data: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(DataError, match=words):
        read_gguf(path)
    assert run(["profile", str(path)]) == 6
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "\x1b" not in captured.err


def test_every_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    short = file(ENTRIES[:4], TENSORS, 448 + 20)
    for end in range(len(short)):
        path.write_bytes(short[:end])
        with pytest.raises(DataError):
            read_gguf(path)


def test_no_damage_leads_to_another_error(tmp_path: Path) -> None:
    short = file(ENTRIES[:4], TENSORS, 448 + 20)
    path = tmp_path / "hostile.gguf"
    choose = random.Random(0)
    for _ in range(500):
        bad = bytearray(short)
        place = choose.randrange(4, 300)
        bad[place : place + 8] = struct.pack(
            "<Q", choose.choice((0, 1, 255, 1 << 31, 1 << 63, (1 << 64) - 1))
        )
        path.write_bytes(bytes(bad))
        try:
            read_gguf(path)
        except AddercostError as error:
            assert len(str(error)) < 2000
