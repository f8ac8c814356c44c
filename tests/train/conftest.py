"""A small network on small digits, so that a run takes a fraction of a second."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

SMALL_NET = """
import torch
from torch import nn
from addercost.layers import AdderConv2d, AdderLinear

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(AdderConv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                         nn.Dropout(0.3), AdderLinear(36, 10), nn.BatchNorm1d(10))

example_inputs = torch.zeros(1, 1, 8, 8)
"""


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Here and in what is started: small tensors only wait for a second one. Some bits depend on it, too."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> str:
    """The SPEC of a file in a folder that is now the current one. Compiling kernels would take longest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADDERCOST_KERNEL", "reference")
    # What the tests start finds this checkout too.
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "net.py").write_text(SMALL_NET)
    return "net.py:Net"
