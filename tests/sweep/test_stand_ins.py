"""A module at several places, where it stands for one of its own at each and is called at them in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from addercost.results.sweep_settings import SweepSettings
from addercost.sweep.child_process.architecture_counter import ArchitectureCounter
from addercost.sweep.spaces.architecture import Architecture
from addercost.trace.reuse.tracer import BlockCache, trace_blocks
from addercost.trace.tracer import trace


def layer(channels: int, stride: int = 1) -> nn.Module:
    convolution = nn.Conv2d(channels, channels, 3, padding=1, stride=stride)
    return nn.Sequential(nn.Sequential(convolution, nn.BatchNorm2d(channels)), nn.ReLU())


class Stacks(nn.Module):
    """Stages of layers: stand-ins are one, `whole` gives each its own. stride: that of all layers."""

    def __init__(self, whole: bool, stride: int = 1) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.ModuleDict({f"layer{i}": made for i, made in enumerate(self.layers(whole, stride))})
            for _ in range(2)
        )

    @staticmethod
    def layers(whole: bool, stride: int) -> Iterator[nn.Module]:
        shared = layer(4, stride)
        for _ in range(3):
            yield layer(4, stride) if whole else shared

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            for part in stage.values():
                x = part(x)
        return x


class Nested(nn.Module):
    """A stand-in within a stand-in."""

    def __init__(self, whole: bool, stride: int) -> None:
        super().__init__()
        self.first = Stacks(whole, stride)
        self.second = Stacks(whole, stride) if whole else self.first

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(self.first(x))
        return out


class Skipping(Stacks):
    """Leaves a stage's last layer out."""

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            for part in list(stage.values())[:2]:
                x = part(x)
        return x


class Twice(nn.Module):
    """Calls a module twice at one place, and lets another call it once at its own."""

    def __init__(self, whole: bool, stride: int) -> None:
        super().__init__()
        self.one = layer(4, stride)
        self.two = nn.Sequential(layer(4, stride) if whole else self.one)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.two(self.one(self.one(x)))
        return out


@pytest.mark.parametrize("stride", [pytest.param(1, id="answered"), pytest.param(2, id="run at each place")])
@pytest.mark.parametrize("kind", [Stacks, Nested, Skipping, Twice])
def test_like_the_model_with_modules_of_its_own(kind: type[Stacks | Nested | Twice], stride: int) -> None:
    """With stride 2 no two layers are given the same shape, so that each is run under its own path."""
    cache = BlockCache()
    inputs = [((torch.empty(batch, 4, 64, 64),), {}) for batch in (1, 3)]
    for _ in range(2):
        traced = trace_blocks(kind(False, stride), inputs, cache=cache, stand_ins=True)
        for found, (args, _) in zip(traced, inputs, strict=True):
            full = trace(kind(True, stride), *args)
            made = found.trace()
            assert [call.module for call in made.calls] == [call.module for call in full.calls]
            assert made.modules == full.modules
            assert found.parameter_count == full.parameter_count


class NeedsValues(nn.Module):
    """Cannot be traced by blocks: its control flow reads a number."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        self.one = nn.Linear(4, 4)
        self.two = nn.Linear(4, 4) if whole else self.one

    def forward(self, x: Tensor) -> Tensor:
        y = self.two(self.one(x))
        return y if y.sum() > 0 else y.relu()


def test_what_needs_a_whole_trace_gets_one_of_its_own_modules() -> None:
    """4·4 + 4 parameters at each place; a stand-in traced whole would have them once."""
    architecture = Architecture(
        "a",
        lambda: NeedsValues(False),
        lambda batch: ((torch.empty(batch, 4),), {}),
        stand_ins=True,
        make_whole=lambda: NeedsValues(True),
    )
    found = ArchitectureCounter().tally(architecture, 0, SweepSettings())
    assert (found.error, found.parameters) == (None, 2 * 20)
