"""A small network on small digits, so that a run takes a fraction of a second."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# The tests are imported one by one, without their folder; what they share is found here.
sys.path.insert(0, str(Path(__file__).parent))

from small_network import in_folder_of_small_net, on_one_thread


@pytest.fixture
def one_thread() -> Iterator[None]:
    with on_one_thread():
        yield


@pytest.fixture
def small_net(tmp_path: Path) -> Iterator[str]:
    with in_folder_of_small_net(tmp_path) as spec:
        yield spec
