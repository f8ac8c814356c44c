"""The networks and chains of layers that a calibration times as a whole."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from addercost.counts.call_work import is_counted
from addercost.counts.kernel_calls import KernelCall, kernel_calls
from addercost.hardware.kernel_times import NetworkSample
from addercost.layers import statically_quantized
from addercost.measure.compilation import compiled
from addercost.measure.kernel_times.networks import RandomNetwork
from addercost.measure.kernel_times.replay import NotReplayableError, replay
from addercost.measure.kernel_times.timing import timed_network
from addercost.measure.speed.fixed_work import open_reference_speed
from addercost.measure.speed.reference import ReferenceSpeed
from addercost.measure.speed.separate_timings import SeenS, SeparateTimings
from addercost.trace.tracer import trace


class Timeable(Protocol):
    """A network or chain that is timed as a whole. It can be pickled, and makes its tensors when it is
    timed.
    """

    @property
    def name(self) -> str: ...

    def timed(self, speed: ReferenceSpeed) -> NetworkSample: ...


@dataclass(frozen=True)
class FormattedNetwork:
    """A network of random layers in one format and layout."""

    made: RandomNetwork
    dtype: torch.dtype
    layout: torch.memory_format

    @property
    def name(self) -> str:
        return self.made.name

    def timed(self, speed: ReferenceSpeed) -> NetworkSample:
        made, shape = self.made.made()
        module, x = made.to(self.dtype), torch.rand(shape).to(self.dtype)
        if x.dim() == 4:
            # torch's type annotations lack this form of the call.
            module = module.to(memory_format=self.layout)  # type: ignore[call-overload]
            x = x.to(memory_format=self.layout)
        return _sample(self.name, module, x, x.to("meta"), speed)


@dataclass(frozen=True)
class CompiledNetwork:
    """A network of random layers that torch.compile compiles. Its kernels are those of the eager network: a
    prediction knows no others.
    """

    made: RandomNetwork
    dtype: torch.dtype

    @property
    def name(self) -> str:
        return f"compiled {self.made.name}"

    def timed(self, speed: ReferenceSpeed) -> NetworkSample:
        made, shape = self.made.made()
        module, x = made.to(self.dtype), torch.rand(shape).to(self.dtype)
        calls = _calls(module, x.to("meta"))
        run = compiled(module)
        seconds, factor = timed_network(lambda: run(x), speed)
        return NetworkSample(self.name, calls, seconds, factor)


@dataclass(frozen=True)
class QuantizedNetwork:
    """A network of random layers after static quantisation. Its kernels choose the layout of images."""

    made: RandomNetwork

    @property
    def name(self) -> str:
        return f"quantised {self.made.name}"

    def timed(self, speed: ReferenceSpeed) -> NetworkSample:
        made, shape = self.made.made()
        x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        module = statically_quantized(made, x)
        return _sample(self.name, module, x, x, speed)


def _sample(
    name: str, module: nn.Module, x: Tensor, traced_on: Tensor, speed: ReferenceSpeed
) -> NetworkSample:
    calls = _calls(module, traced_on)
    seconds, factor = timed_network(lambda: module(x), speed)
    return NetworkSample(name, calls, seconds, factor)


def _calls(module: nn.Module, x: Tensor) -> tuple[KernelCall, ...]:
    traced = trace(module, x, is_counted=is_counted)
    return tuple(call for _, call in kernel_calls(traced.calls))


@dataclass(frozen=True)
class Chain:
    """A chain of 8-bit layers that run one after the other, each with its own weights."""

    name: str
    calls: tuple[KernelCall, ...]
    layout: torch.memory_format

    def timed(self, speed: ReferenceSpeed) -> NetworkSample:
        generator = torch.Generator().manual_seed(0)
        runs, calls = [], []
        for call in self.calls:
            with suppress(NotReplayableError):
                runs.append(replay(call, generator, self.layout))
                calls.append(call)

        def run() -> None:
            for one in runs:
                one()

        seconds, factor = timed_network(run, speed)
        return NetworkSample(self.name, tuple(calls), seconds, factor)


def separate_networks(accepts_noise: bool) -> SeparateTimings[Timeable, NetworkSample]:
    """Times networks in processes of their own. accepts_noise: as for `ReferenceSpeed`."""

    def timed(network: Timeable, seen_s: SeenS) -> tuple[NetworkSample, SeenS]:
        speed = open_reference_speed(accepts_noise=accepts_noise)
        speed.continue_from(seen_s)
        return network.timed(speed), speed.seen_s

    return SeparateTimings(timed)
