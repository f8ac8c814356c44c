"""A small network that what-ifs change, with the sites of its layers worked out by hand."""

from __future__ import annotations

import torch
from torch import nn

from addercost.trace.record import Trace
from addercost.trace.tracer import trace

# Convolutions 3→8 and 8→16 of 3×3 on 8×8, padding 1, the second with stride 2; linear 16·4·4 → 10.
FIRST, SECOND, LAST = 64 * 8 * 27, 16 * 16 * 72, 256 * 10


def small_trace() -> Trace:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False),
        nn.Flatten(),
        nn.Linear(256, 10),
    )
    return trace(model, image(3, 8))


def image(channels: int, size: int = 4) -> torch.Tensor:
    return torch.empty(1, channels, size, size, device="meta")
