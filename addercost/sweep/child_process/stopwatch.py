"""Times an architecture's forward in the child process: with weights, in each of the arithmetics."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from addercost.layers.convert import convert
from addercost.measure.devices.device import TimingDevice
from addercost.measure.environment import environment
from addercost.measure.runner import Effort, time_call
from addercost.results.intervals import median_interval
from addercost.sources.build import build_real
from addercost.sweep.child_process.architecture_counter import described
from addercost.sweep.measurement import ArchitectureTimes, ForwardTime, MeasureSettings
from addercost.sweep.spaces.architecture import Architecture
from addercost.trace.substitutes import with_values


class Stopwatch:
    """Times architectures on one device. settings: the settings with which the device was opened."""

    def __init__(self, settings: MeasureSettings, device: TimingDevice) -> None:
        self.settings, self._device = settings, device
        self._environment = environment(device.facts)

    def time(self, architecture: Architecture, index: int) -> ArchitectureTimes:
        """The timings of an architecture. An exception of its code ends them, and is returned with the
        timings made before.
        """
        found: list[ForwardTime] = []
        error = None
        try:
            for arithmetic in self.settings.arithmetics:
                model = self._model(architecture, arithmetic)
                for batch in self.settings.batches:
                    found.append(self._forward(model, architecture.inputs(batch), arithmetic, batch))
        except (Exception, SystemExit) as raised:
            error = described(raised)
        name, facts = architecture.name, self._device.facts
        return ArchitectureTimes(index, name, tuple(found), facts.name, self._environment, error)

    def _model(self, architecture: Architecture, arithmetic: str) -> nn.Module:
        model = build_real(architecture.make_whole or architecture.make).eval()
        if arithmetic != "mac":
            model = convert(model, arithmetic)
        return model.to(self._device.facts.kind)

    def _forward(
        self, model: nn.Module, inputs: tuple[tuple[Any, ...], Mapping[str, Any]], arithmetic: str, batch: int
    ) -> ForwardTime:
        def real(value: Any) -> Any:
            return (
                with_values(value).to(self._device.facts.kind) if isinstance(value, torch.Tensor) else value
            )

        args, kwargs = tree_map(real, (inputs[0], dict(inputs[1])))
        effort = Effort(self.settings.precision, self.settings.time_limit_s)
        with torch.inference_mode():
            timed = time_call(self._device, lambda: model(*args, **kwargs), None, effort)
        low, high = median_interval(timed.samples_s) or (None, None)
        return ForwardTime(
            arithmetic,
            batch,
            timed.samples_s,
            statistics.median(timed.samples_s),
            low,
            high,
            timed.converged,
            timed.warnings,
        )


def open_stopwatch(settings: MeasureSettings) -> Stopwatch:
    """The stopwatch for the settings' device. Raises ArgumentError where this machine has no such device."""
    from addercost.measure.session import BenchSettings, open_device

    return Stopwatch(settings, open_device(BenchSettings(device=settings.device, threads=settings.threads)))
