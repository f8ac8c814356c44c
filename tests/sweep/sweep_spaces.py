"""Small spaces for the tests, as the files a user would write, and what a sweep of them left."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from addercost.results.sweep_settings import SweepSettings
from addercost.sweep.chunks.chunk import Chunk, ChunkResult, run_chunk
from addercost.sweep.queries.sweep_data import open_sweep

LINEAR = """
import torch
from torch import nn

def architectures():
    for width in range(1, {n} + 1):
        make = lambda width=width: nn.Linear(width, 3)
        yield f"linear-{{width}}", make, torch.empty(2, width), {{"width": width}}
"""

NINE = LINEAR.format(n=9)
IN_TWOS = SweepSettings(cpus=("via-nano-2000",), cost_model="latency-sum", chunk=2)
"""Nine architectures in twos are five chunks, the last one shorter."""

WAITING = """
import os, time
import torch
from torch import nn

def make(width):
    # The first {free} are made at once, the others when the test allows it.
    while width > {free} and not os.path.exists({go!r}):
        time.sleep(0.02)
    return nn.Linear(width, 3)

def architectures():
    for width in range(1, {n} + 1):
        yield f"linear-{{width}}", lambda width=width: make(width), torch.empty(2, width), {{"width": width}}
"""

TROUBLE = """
import os, signal, sys, time
import torch
from torch import nn

x = torch.empty(1, 4)

class Hangs(nn.Module):
    def forward(self, x):
        time.sleep(1000)

def raises():
    raise KeyError("no such layer")

def leaves():
    sys.exit(3)

def dies():
    os.kill(os.getpid(), signal.SIGKILL)

def talks():
    print("hello from the factory")
    os.write(1, b"and from C")
    return nn.Linear(4, 1)

def eats():
    return nn.Linear(4, 1), bytearray(3 << 30)

def large():
    return nn.Linear(1 << 20, 1 << 20)

architectures = [
    ("good", lambda: nn.Linear(4, 2), x),
    ("raises", raises, x),
    ("leaves", leaves, x),
    ("hangs", Hangs, x),
    ("dies", dies, x),
    ("talks", talks, x),
    ("eats", eats, x),
    ("wrong input", lambda: nn.Linear(5, 2), x),
    ("good", lambda: nn.Linear(4, 8), x),
    ("large", large, torch.empty(1, 1 << 20)),
    ("not a module", lambda: 3, x),
]
"""
WITHOUT_HANG = TROUBLE.replace('    ("hangs", Hangs, x),\n', "")
"""The same but for the architecture that is waited for until its time is over."""

TROUBLE_TIMEOUT_S = 15.0
"""Far longer than any of them takes on a busy machine, but for the one that hangs."""


def space_file(folder: Path, text: str, name: str = "space.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def here(chunks: Iterator[Chunk]) -> Generator[ChunkResult, None, None]:
    """An engine without workers: every chunk runs in this process, whose one child process is kept."""
    for chunk in chunks:
        yield run_chunk(chunk)


def contents(folder: Path) -> str:
    """A digest of every shard's bytes."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.parquet")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def rows(folder: Path, sql: str = "SELECT * FROM sweep") -> list[dict[str, Any]]:
    return [dict(row) for row in open_sweep(folder).table(sql).rows]


def dies(chunk: Chunk) -> None:
    """What a worker does that is killed before it has a result."""
    os._exit(1)
