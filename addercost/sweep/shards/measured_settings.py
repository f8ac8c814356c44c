"""`measured-DEVICE.json`: how the architectures of a folder were timed on a device."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from addercost.errors import ArgumentError, DataError
from addercost.results.files import write_file
from addercost.sweep.measurement import SCHEMA, MeasureSettings
from addercost.sweep.shards.layout import MEASURED, Layout
from addercost.sweep.shards.manifest import Manifest
from addercost.sweep.shards.settings_file import read_settings_file


def measured_layout(manifest: Manifest, settings: MeasureSettings) -> Layout:
    """The layout of the shards with these measurements of the manifest's sweep."""
    architectures = len(settings.indices(manifest.architectures))
    key = settings.key(manifest.key)
    return Layout(f"{MEASURED}-{settings.device}", key, architectures, settings.chunk)


def measured_layouts(folder: Path, manifest: Manifest) -> list[tuple[Layout, MeasureSettings]]:
    """The layouts of all measurements in a folder, one for each device. Raises DataError for a damaged
    file.
    """
    found = []
    for path in sorted(folder.glob(f"{MEASURED}-*.json")):
        settings = _read(path)
        found.append((measured_layout(manifest, settings), settings))
    return found


def check_settings(folder: Path, layout: Layout, settings: MeasureSettings) -> None:
    """Raises ArgumentError where the folder has measurements on the device with other settings."""
    path = folder / f"{layout.prefix}.json"
    if path.exists():
        before = asdict(_read(path))
        for name, value in asdict(settings).items():
            if before[name] != value:
                raise ArgumentError(
                    f"{folder} was measured with {name} {before[name]}, not {value}",
                    f"give the same options, or remove {path.name} and {layout.prefix}-*.parquet",
                )


def keep_settings(folder: Path, layout: Layout, settings: MeasureSettings) -> None:
    """Writes the settings where there are none. Raises OutputError."""
    path = folder / f"{layout.prefix}.json"
    if not path.exists():
        write_file(path, json.dumps({"schema": SCHEMA, **asdict(settings)}, indent=1) + "\n")


def _read(path: Path) -> MeasureSettings:
    settings = read_settings_file(MeasureSettings, path, SCHEMA)
    try:
        return settings.checked()
    except ArgumentError as error:
        raise DataError(f"{path}: {error}") from None
