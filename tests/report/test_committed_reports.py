"""The prediction-only reports under `reports/` are what the package makes today. Needs torch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("lenet5-bn", "resnet-18", "paper-tables")
FIGURES = (".svg", ".html")


def files(folder: Path) -> dict[str, bytes]:
    found = (path for name in FOLDERS for path in (folder / name).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("reports")
    command = [sys.executable, ROOT / "tools" / "make_reports.py", folder]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return files(folder)


def test_same_files(made: dict[str, bytes]) -> None:
    assert sorted(files(ROOT / "reports")) == sorted(made)


def test_same_data(made: dict[str, bytes]) -> None:
    kept = files(ROOT / "reports")
    different = [name for name in made if not name.endswith(FIGURES) and kept.get(name) != made[name]]
    assert not different, "run `make predicted-reports` and look at what changed"


def test_same_figures(made: dict[str, bytes]) -> None:
    pinned = re.search(r"^matplotlib==(.+)$", (ROOT / "constraints.txt").read_text(), flags=re.M)
    assert pinned is not None
    if matplotlib.__version__ != pinned[1]:
        pytest.skip(f"figures were drawn with matplotlib {pinned[1]}, this is {matplotlib.__version__}")
    kept = files(ROOT / "reports")
    different = [name for name in made if name.endswith(FIGURES) and kept.get(name) != made[name]]
    assert not different, "run `make predicted-reports` and look at what changed"


def test_nothing_is_called_measured() -> None:
    """These are predictions: no measurements document is inside, and no path of a machine."""
    for name, content in files(ROOT / "reports").items():
        text = content.decode("utf-8")
        assert '"measurements": [{' not in text and '"measurements":[{' not in text, name
        assert not re.search(r"/home/|/root/|/tmp/|/work/", text), name


def test_the_papers_ratio_is_in_it() -> None:
    """416,520 sites at 4 + 2 cycles against 2 + 2."""
    text = (ROOT / "reports" / "lenet5-bn" / "report.md").read_text(encoding="utf-8")
    assert "| 2,499,120 | 1,666,080 |" in text and "1.500×" in text
