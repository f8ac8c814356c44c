"""Entry points of installed packages, in folders and in archives."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from addercost.extensions import entries, package_of

ROOT = Path(__file__).parents[1]
METADATA = "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n"
ENTRY_POINTS = "[addercost.tried]\nnpu = acme:NPU\n"


def folder(at: Path) -> Path:
    info = at / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return at


def archive(at: Path) -> Path:
    with zipfile.ZipFile(at / "acme.zip", "w") as file:
        file.writestr("acme-1.0.dist-info/METADATA", METADATA)
        file.writestr("acme-1.0.dist-info/entry_points.txt", ENTRY_POINTS)
    return at / "acme.zip"


@pytest.mark.parametrize("install", [folder, archive])
def test_an_entry_point_is_found(install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert entries("addercost.tried") == ()
    monkeypatch.syspath_prepend(install(tmp_path))
    (entry,) = entries("addercost.tried")
    assert (entry.name, entry.value, package_of(entry)) == ("npu", "acme:NPU", "acme")


def test_without_any_the_standard_librarys_reader_is_not_imported() -> None:
    code = (
        "import sys; from addercost.extensions import entries\n"
        "print(entries('addercost.tried'), 'importlib.metadata' in sys.modules)"
    )
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["()", "False"]
