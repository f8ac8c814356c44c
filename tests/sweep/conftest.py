from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

# The tests are imported one by one, without their folder; the modules they share are found here.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def swept_nine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished sweep of `NINE`, which tests must not change."""
    from sweep_spaces import IN_TWOS, NINE, here, space_file

    from addercost.sweep.run import plan, sweep

    folder = tmp_path_factory.mktemp("swept")
    sweep(plan(space_file(folder, NINE), IN_TWOS), folder / "out", engine=here)
    return folder / "out"


@pytest.fixture
def space(tmp_path: Path) -> str:
    """The file of `NINE` in this test's own folder."""
    from sweep_spaces import NINE, space_file

    return space_file(tmp_path, NINE)


@pytest.fixture
def swept(swept_nine: Path, tmp_path: Path, space: str) -> Path:
    """A copy of `swept_nine` that a test may change, as a sweep of `space` would have made it."""
    shutil.copytree(swept_nine, tmp_path / "out")
    manifest = tmp_path / "out" / "sweep.json"
    manifest.write_text(manifest.read_text().replace(str(swept_nine.parent / "space.py"), space))
    return tmp_path / "out"
