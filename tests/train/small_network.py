"""A small network's file, and the folder and the settings to train it in."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

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


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Here and in what is started: a second thread takes longer to wake than small tensors take to compute.
    Some bits depend on the number of threads, too."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)


@contextmanager
def in_folder_of_small_net(folder: Path) -> Iterator[str]:
    """The SPEC of a small network's file in `folder`, which is the current one meanwhile. Its layers run by
    the reference: compiling kernels would take longest."""
    with on_one_thread(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ADDERCOST_KERNEL", "reference")
        # What the tests start finds this checkout too.
        root = str(Path(__file__).parents[2])
        patch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
        (folder / "net.py").write_text(SMALL_NET)
        yield "net.py:Net"
