"""DIR: a manifest and one Parquet file a chunk. A shard that exists and is whole is done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from addercost.errors import ArgumentError, DataError
from addercost.results.files import make_folder, write_file
from addercost.results.sweep_settings import SCHEMA, SweepSettings
from addercost.sweep.shard import read_metadata

MANIFEST = "sweep.json"
MEASURED = "measured"
_ASIDE = ".rejected"


@dataclass(frozen=True, slots=True)
class Layout:
    """Which files of a folder belong together: `PREFIX-000000.parquet` and on, one a chunk of architectures.

    key: what their footers carry, so that another sweep's shard is never taken for one of these.
    """

    prefix: str
    key: str
    architectures: int
    chunk: int

    @property
    def chunks(self) -> int:
        return -(-self.architectures // self.chunk)

    def length(self, number: int) -> int:
        """Architectures in a chunk; the last may be shorter."""
        return min(self.chunk, self.architectures - number * self.chunk)

    def path(self, folder: Path, number: int) -> Path:
        return folder / f"{self.prefix}-{number:06d}.parquet"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder holds: the space, the settings, how many architectures, and the key of its shards."""

    key: str
    space: str
    architectures: int
    settings: SweepSettings

    @property
    def layout(self) -> Layout:
        return Layout("shard", self.key, self.architectures, self.settings.chunk)


@dataclass(frozen=True, slots=True)
class ShardState:
    """A shard on disk: whole and ours, or why not."""

    number: int
    path: Path
    failed: int = 0
    problem: str = ""


def open_folder(folder: Path, manifest: Manifest) -> None:
    """Makes the folder, or checks that it holds this very sweep.

    Raises ArgumentError where it holds another one, OutputError where it cannot be written.
    """
    make_folder(folder)
    path = folder / MANIFEST
    if path.exists():
        found = read_manifest(folder)
        if found.key != manifest.key:
            raise ArgumentError(
                f"{folder} holds another sweep: {_difference(found, manifest)}", "name another folder with -o"
            )
        return
    content = {"schema": SCHEMA, **asdict(manifest)}
    write_file(path, json.dumps(content, indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Raises DataError where there is none, or it is not of this version."""
    path = folder / MANIFEST
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise DataError(f"{path} has schema {data['schema']}, this version reads {SCHEMA}")
        settings: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in data["settings"].items()
        }
        return Manifest(data["key"], data["space"], data["architectures"], SweepSettings(**settings))
    except FileNotFoundError:
        raise DataError(f"{folder} holds no sweep", "make one with `addercost sweep SPACE -o DIR`") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {type(error).__name__}: {error}") from None


def _listed(value: object) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)


def _difference(found: Manifest, wanted: Manifest) -> str:
    if found.space != wanted.space:
        return f"of {found.space}"
    for name, value in asdict(wanted.settings).items():
        there = getattr(found.settings, name)
        if there != value:
            verb = "are" if isinstance(value, tuple) else "is"
            return f"its {name} {verb} {_listed(there)}, not {_listed(value)}"
    if found.architectures != wanted.architectures:
        return f"it has {found.architectures:,} architectures, not {wanted.architectures:,}"
    return "made with another version of the space, of a hardware table, of torch or of addercost"


def shards(folder: Path, layout: Layout, thorough: bool) -> Iterator[ShardState]:
    """Every shard on disk that bears a shard's name, and what is wrong with it if anything.

    thorough: also reads its pages and checks their checksums, not only the footer.
    """
    for number in range(layout.chunks):
        path = layout.path(folder, number)
        if path.exists():
            yield _state(path, number, layout, thorough)


def _state(path: Path, number: int, layout: Layout, thorough: bool) -> ShardState:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=thorough) as file:
            ours = read_metadata(file.schema_arrow.metadata)
            if ours is None:
                return ShardState(number, path, problem="is no shard of addercost")
            key, own_number, architectures, failed = ours
            if key != layout.key:
                return ShardState(number, path, problem="belongs to another sweep")
            if own_number != number or architectures != layout.length(number):
                return ShardState(
                    number, path, problem=f"is shard {own_number} of {architectures} architectures"
                )
            if thorough:
                for _ in file.iter_batches():
                    pass
            return ShardState(number, path, failed)
    except (pa.ArrowException, OSError, ValueError) as error:
        return ShardState(number, path, problem=f"is damaged: {' '.join(str(error).split())[:200]}")


def set_aside(shard: ShardState) -> Path:
    """Renames a shard that is not ours, so that nothing of anybody's is lost, and its place is free."""
    target = shard.path.with_name(shard.path.name + _ASIDE)
    os.replace(shard.path, target)  # noqa: PTH105
    return target


def done_and_remarks(
    folder: Path, layout: Layout, retry_failed: bool
) -> tuple[dict[int, int], tuple[str, ...]]:
    """(failed architectures of each finished chunk by number, what a user should know of the others).

    A damaged shard is set aside, to be made again.
    """
    remarks = [
        f"{path.name} is no shard of this sweep and is left alone" for path in _strangers(folder, layout)
    ]
    done: dict[int, int] = {}
    for shard in shards(folder, layout, thorough=True):
        if shard.problem:
            kept = set_aside(shard)
            remarks.append(f"{shard.path.name} {shard.problem}: kept as {kept.name}, and made again")
        elif not (retry_failed and shard.failed):
            done[shard.number] = shard.failed
    return done, tuple(remarks)


def _strangers(folder: Path, layout: Layout) -> list[Path]:
    """Parquet files that bear no name of a shard of this sweep; they are left alone and not read."""
    expected = {layout.path(folder, number).name for number in range(layout.chunks)}
    if layout.prefix.startswith(MEASURED):
        others = list(folder.glob(f"{layout.prefix}-*.parquet"))
    else:
        others = [path for path in folder.glob("*.parquet") if not path.name.startswith(f"{MEASURED}-")]
    return sorted(path for path in others if path.name not in expected)
