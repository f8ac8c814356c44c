"""`sweep.json`: describes the sweep of a folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from addercost.errors import ArgumentError, DataError
from addercost.reading import Whole, misfit
from addercost.results.files import write_file
from addercost.results.sweep_settings import SCHEMA, SweepSettings
from addercost.sweep.shards.layout import Layout
from addercost.sweep.shards.settings_file import read_settings_file

_FILE = "sweep.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of a sweep. space: the user's text. architectures: how many the space has. key: the key
    of the sweep's shards.
    """

    key: str
    space: str
    architectures: Whole
    settings: SweepSettings

    @property
    def layout(self) -> Layout:
        return Layout("shard", self.key, self.architectures, self.settings.chunk)


def check_folder(folder: Path, manifest: Manifest) -> None:
    """Raises ArgumentError where the folder belongs to another sweep."""
    if (folder / _FILE).exists():
        found = read_manifest(folder)
        if found.key != manifest.key:
            raise ArgumentError(
                f"{folder} holds another sweep: {_difference(found, manifest)}", "name another folder with -o"
            )


def keep_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest where there is none. Raises OutputError."""
    if not (folder / _FILE).exists():
        content = {"schema": SCHEMA, **asdict(manifest)}
        write_file(folder / _FILE, json.dumps(content, indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a folder. Raises DataError where there is none, or it is of another version."""
    path = folder / _FILE
    if not path.exists():
        raise DataError(f"{folder} holds no sweep", "make one with `addercost sweep SPACE -o DIR`")
    manifest = read_settings_file(Manifest, path, SCHEMA)
    settings = manifest.settings
    for axis in ("arithmetics", "conventions", "batches"):
        if not getattr(settings, axis):
            raise misfit(str(path), f"settings.{axis}", [], "at least one")
    if settings.chunk < 1:
        raise misfit(str(path), "settings.chunk", settings.chunk, "a whole number of at least 1")
    return manifest


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


def _listed(value: object) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)
