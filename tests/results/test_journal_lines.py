"""The lines of a journal that were whole when its process was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from addercost.results.journal_lines import append_line, journal_path, whole_lines


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        pytest.param(b"", [], id="empty"),
        pytest.param(b"ab", [], id="cut off"),
        pytest.param(b"ab\ncd\ne\n", [(1, b"ab", 3), (2, b"cd", 6), (3, b"e", 8)], id="three"),
        pytest.param(b"ab\n\nc", [(1, b"ab", 3), (2, b"", 4)], id="an empty one, and one cut off"),
        pytest.param(b"ab\n\0\0\ncd\n", [(1, b"ab", 3)], id="zeros"),
    ],
)
def test_whole_lines(data: bytes, lines: list[tuple[int, bytes, int]]) -> None:
    """(number from 1, line, number of bytes up to its end)."""
    assert list(whole_lines(data)) == lines


def test_a_record_is_one_line(tmp_path: Path) -> None:
    path = journal_path(tmp_path / "times.json")
    append_line(path, {"a": [1, None]})
    append_line(path, {"b": "\n"})
    assert path.name == "times.json.journal"
    assert path.read_bytes() == b'{"a": [1, null]}\n{"b": "\\n"}\n'
    with pytest.raises(ValueError, match="JSON"):
        append_line(path, {"c": float("nan")})
