"""The shards on disk: finds which chunks are finished, and which files are damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from addercost.sweep.shards.footer import read_footer
from addercost.sweep.shards.layout import MEASURED, Layout
from addercost.text import error_text

_REJECTED_SUFFIX = ".rejected"


@dataclass(frozen=True, slots=True)
class ShardFile:
    """A file with a shard's name. problem: the reason why it is not that shard, "" where it is."""

    number: int
    path: Path
    failed: int = 0
    problem: str = ""


def shard_files(folder: Path, layout: Layout, thorough: bool) -> Iterator[ShardFile]:
    """Every file that has the name of one of the shards.

    thorough: read the pages and check their checksums, and not only the footer.
    """
    for number in range(layout.chunks):
        path = layout.path(folder, number)
        if path.exists():
            yield _checked(path, number, layout, thorough)


def _checked(path: Path, number: int, layout: Layout, thorough: bool) -> ShardFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return ShardFile(number, path, problem="is no file")
    try:
        with pq.ParquetFile(path, page_checksum_verification=thorough) as file:
            footer = read_footer(file.schema_arrow.metadata)
            if footer is None:
                return ShardFile(number, path, problem="is no shard of addercost")
            if footer.key != layout.key:
                return ShardFile(number, path, problem="belongs to another sweep")
            if footer.number != number or footer.architectures != layout.length(number):
                return ShardFile(
                    number,
                    path,
                    problem=f"is shard {footer.number} of {footer.architectures} architectures",
                )
            if thorough:
                for _ in file.iter_batches():
                    pass
            return ShardFile(number, path, footer.failed)
    except (pa.ArrowException, OSError, ValueError) as error:
        return ShardFile(number, path, problem=f"is damaged: {error_text(error)[:200]}")


def done_and_remarks(
    folder: Path, layout: Layout, retry_failed: bool
) -> tuple[dict[int, int], tuple[str, ...]]:
    """(number of each finished chunk → how many of its architectures failed, lines for the user).

    A file that is not the shard of its name is renamed, so that its chunk can run again and nothing is lost.
    retry_failed: chunks with failed architectures do not count as finished.
    """
    remarks = [
        f"{path.name} is no shard of this sweep and is left alone" for path in _other_files(folder, layout)
    ]
    done: dict[int, int] = {}
    for shard in shard_files(folder, layout, thorough=True):
        if shard.problem:
            kept = _set_aside(shard)
            remarks.append(f"{shard.path.name} {shard.problem}: kept as {kept.name}, and made again")
        elif not (retry_failed and shard.failed):
            done[shard.number] = shard.failed
    return done, tuple(remarks)


def _set_aside(shard: ShardFile) -> Path:
    target = shard.path.with_name(shard.path.name + _REJECTED_SUFFIX)
    os.replace(shard.path, target)  # noqa: PTH105
    return target


def _other_files(folder: Path, layout: Layout) -> list[Path]:
    """Parquet files without the name of a shard of this layout, which are not read."""
    expected = {layout.path(folder, number).name for number in range(layout.chunks)}
    if layout.prefix.startswith(MEASURED):
        others = list(folder.glob(f"{layout.prefix}-*.parquet"))
    else:
        others = [path for path in folder.glob("*.parquet") if not path.name.startswith(f"{MEASURED}-")]
    return sorted(path for path in others if path.name not in expected)
