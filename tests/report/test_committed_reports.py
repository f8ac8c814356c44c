"""The prediction-only reports under `reports/` are what the package makes today."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("lenet5-bn", "resnet-18", "paper-tables", "adder-pays")


def files(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    found = (path for name in names for path in (folder / name).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.exhaustive
def test_the_same_bytes_are_made_again(tmp_path: Path) -> None:
    """Figures are drawn alike by one version of matplotlib only, which constraints.txt pins."""
    command = [sys.executable, ROOT / "tools" / "make_reports.py", tmp_path]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    kept, made = files(ROOT / "reports", FOLDERS), files(tmp_path, FOLDERS)
    assert sorted(kept) == sorted(made)
    different = [name for name in made if kept[name] != made[name]]
    assert not different, "run `make predicted-reports` and look at what changed"


def test_nothing_is_called_measured() -> None:
    """These are predictions: no measurements document is inside, and no path of a machine."""
    for name, content in files(ROOT / "reports", FOLDERS).items():
        text = content.decode("utf-8")
        assert '"measurements": [{' not in text and '"measurements":[{' not in text, name
        assert not re.search(r"/home/|/root/|/tmp/|/work/", text), name


def test_the_papers_ratio_is_in_it() -> None:
    """416,520 sites at 4 + 2 cycles against 2 + 2."""
    text = (ROOT / "reports" / "lenet5-bn" / "report.md").read_text(encoding="utf-8")
    assert "| 2,499,120 | 1,666,080 |" in text and "1.500×" in text
