"""Activation checkpointing in evaluation changes nothing: a call still belongs to the layer that makes it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from addercost.counts.model import count
from addercost.trace.tracer import trace


class Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 6))
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        x = checkpoint(self.first, x, use_reentrant=self.reentrant)
        out: Tensor = checkpoint_sequential(self.second, 2, x, use_reentrant=self.reentrant)
        return out


@pytest.mark.parametrize("reentrant", [False, True])
def test_calls_keep_their_layers(reentrant: bool) -> None:
    counts = count(trace(Checkpointed(reentrant), torch.empty(2, 3, device="meta")), "macs")
    assert {layer.path: layer.mac_sites for layer in counts.layers if layer.mac_sites} == {
        "first": 24,
        "second.0": 40,
        "second.1": 60,
    }
