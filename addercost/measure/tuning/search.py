"""Searches the schedule of a layer that is fastest here, if any is faster than the rule's.

Tiles that compute few unused outputs are timed first, each in turn with the rule's schedule (A B B A). The
best of them is then timed with its rows joined or not, and with its input kept or not. A candidate counts
only if the whole interval of its ratio is below 1, so a tie is no gain. The best candidate is timed once
more, since the best of many owes part of its result to chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from addercost.kernels.cpu.dense.candidates import allows, candidates, filled_lanes
from addercost.kernels.cpu.dense.extents import rounded
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.cpu.dense.rule import default_schedule
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.tuned import TunedLayer, family_request
from addercost.kernels.cpu.processor import Core, host_core
from addercost.measure.devices.device import TimingDevice
from addercost.measure.runner import Effort, time_call
from addercost.measure.tuning.layers import TunableLayer
from addercost.results.intervals import RatioOutcome, interleaved_ratio, verdict

SCREENING = Effort(precision=0.03, time_limit_s=0.15, ratio_only=True, least_s=0.0)
CONFIRMING = Effort(precision=0.01, time_limit_s=1.0, ratio_only=True, least_s=0.1)
_TILES_OF_A_KIND = 2
_MOST_WASTE = 1.2
"""A tile that computes more than this factor times as many outputs as the best one is not timed."""
_FEWEST_SUMS = 4

Interval = tuple[float, float]


def best_schedule(layer: TunableLayer, device: TimingDevice) -> TunedLayer:
    """The fastest schedule of a layer, or None where none is faster than the rule's."""
    request, core = family_request(layer.request), host_core()
    default = default_schedule(layer.request, core)
    winners: dict[Schedule, float] = {}

    def screen(schedules: Iterator[Schedule]) -> None:
        for schedule in schedules:
            if schedule != default and schedule not in winners:
                ratio, interval = _compared(layer, device, schedule, default, SCREENING)
                if verdict(interval) is RatioOutcome.FASTER:
                    winners[schedule] = ratio

    screen(tiles_to_time(layer.request, core, default))
    screen(_with_choices_changed(layer.request, core, min(winners, key=winners.__getitem__, default=default)))
    if not winners:
        return TunedLayer(request, None)
    best = min(winners, key=winners.__getitem__)
    ratio, interval = _compared(layer, device, best, default, CONFIRMING)
    if interval is None or verdict(interval) is not RatioOutcome.FASTER:
        return TunedLayer(request, None)
    return TunedLayer(request, best, ratio, interval)


def _compared(
    layer: TunableLayer, device: TimingDevice, schedule: Schedule, default: Schedule, effort: Effort
) -> tuple[float, Interval | None]:
    """(the time of `schedule` / that of `default`, the interval of this ratio)."""
    timed = time_call(device, partial(layer.run, schedule), partial(layer.run, default), effort)
    return interleaved_ratio(timed.samples_s, timed.reference_samples_s)


def tiles_to_time(request: KernelRequest, core: Core, default: Schedule) -> Iterator[Schedule]:
    """For each number of vectors, along filters and along pixels: the tiles that compute fewest unused
    outputs, of equal ones the larger. Rows are joined and the input is kept as in `default` where a tile
    allows it.
    """
    kinds: dict[tuple[bool, int], list[Schedule]] = {}
    allowed = set(candidates(request, core))
    for tile in allowed:
        choices = [replace(tile, joined=default.joined, kept_scratch=default.kept_scratch), tile]
        wanted = next(choice for choice in choices if choice in allowed)
        sums = tile.vectors * tile.pixels
        used = request.extents.columns if tile.across else request.extents.filters
        if tile == wanted and tile.lanes == filled_lanes(request, core, used) and sums >= _FEWEST_SUMS:
            kinds.setdefault((tile.across, tile.vectors), []).append(tile)

    def cost(tile: Schedule) -> tuple[int, int]:
        return _computed(request, tile), -tile.pixels

    least = min((_computed(request, tile) for tiles in kinds.values() for tile in tiles), default=0)
    for kind in sorted(kinds):
        for tile in sorted(kinds[kind], key=cost)[:_TILES_OF_A_KIND]:
            if _computed(request, tile) <= _MOST_WASTE * least:
                yield tile


def _computed(request: KernelRequest, tile: Schedule) -> int:
    """How many outputs whole tiles compute, with the unused ones."""
    extents = request.extents.joined() if tile.joined else request.extents
    along_filters, along_pixels = tile.vector_run, tile.pixels
    if tile.across:
        along_filters, along_pixels = along_pixels, along_filters
    return rounded(extents.filters, along_filters) * extents.rows * rounded(extents.columns, along_pixels)


def _with_choices_changed(request: KernelRequest, core: Core, best: Schedule) -> Iterator[Schedule]:
    for changed in (replace(best, joined=not best.joined), replace(best, kept_scratch=not best.kept_scratch)):
        if allows(request, core, changed):
            yield changed
