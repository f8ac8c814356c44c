"""Settings by which a user replaces figures of a target's table: clock, memory bandwidth, cores, replayed
graphs.

Settings are part of a target's name, `raspberry-pi-5@1.8GHz+8GB/s+4cores`. So everything that takes a name
takes settings as well: commands, sweeps and their workers, saved profiles that are costed again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from addercost.cost.target import Target
from addercost.errors import ArgumentError
from addercost.units import parse_quantity, si

MARK, JOINED_BY = "@", "+"
GRAPHS = "graphs"
_CLOCKS_HZ = (1e3, 1e11)
_BANDWIDTHS = (1e3, 1e15)
_MOST_CORES = 100_000


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """The settings of a target. None or False: the table's own figure is used."""

    clock_hz: float | None = None
    bandwidth_bytes_per_s: float | None = None
    cores: int | None = None
    graphs: bool = False


def settings_text(clock: str | None, bandwidth: str | None, cores: int | None, graphs: bool = False) -> str:
    """The settings as text after a target's name, "" without any. Raises ArgumentError for a value out of
    range.
    """
    parts = []
    if clock is not None:
        quantity(clock, "clock", "Hz", _CLOCKS_HZ, "1.8GHz")
        parts.append(clock)
    if bandwidth is not None:
        quantity(bandwidth, "bandwidth", "B/s", _BANDWIDTHS, "8GB/s")
        parts.append(bandwidth)
    if cores is not None:
        parts.append(f"{_cores(str(cores))}cores")
    if graphs:
        parts.append(GRAPHS)
    text = JOINED_BY.join("".join(part.split()) for part in parts)
    return MARK + text if text else ""


def split_name(name: str) -> tuple[str, TargetSettings]:
    """(the name without its settings, the settings). Raises ArgumentError for a text that is no setting."""
    base, mark, text = name.rpartition(MARK)
    # A path may have an @ in one of its folders.
    if not mark or text.endswith(".toml") or "/" in text.replace("B/s", ""):
        return name, TargetSettings()
    found: dict[str, Any] = {}
    for part in text.split(JOINED_BY):
        key, value = _setting(part)
        if key in found:
            raise ArgumentError(f"{name} sets its {key} twice", "leave one of the two out")
        found[key] = value
    return base, TargetSettings(**found)


def _setting(text: str) -> tuple[str, Any]:
    if text == GRAPHS:
        return "graphs", True
    if text.endswith("cores"):
        return "cores", _cores(text.removesuffix("cores"))
    if text.endswith("Hz"):
        return "clock_hz", quantity(text, "clock", "Hz", _CLOCKS_HZ, "1.8GHz")
    if text.endswith("B/s"):
        return "bandwidth_bytes_per_s", quantity(text, "bandwidth", "B/s", _BANDWIDTHS, "8GB/s")
    raise ArgumentError(
        f"{text!r} is no setting of a target",
        f"write 1.8GHz, 8GB/s, 4cores or {GRAPHS}, joined by {JOINED_BY}",
    )


def quantity(text: str, what: str, unit: str, limits: tuple[float, float], example: str) -> float:
    """The quantity in `unit` that a text states. Raises ArgumentError where the unit is missing or the number
    is outside the limits.
    """
    if not text.strip().endswith(unit):
        raise ArgumentError(f"the {what} {text!r} has no unit", f"write it like {example}")
    try:
        value = parse_quantity(text, unit)
    except ValueError:
        raise ArgumentError(
            f"the {what} {text!r} is no number of {unit}", f"write it like {example}"
        ) from None
    low, high = limits
    if not (math.isfinite(value) and low <= value <= high):
        raise ArgumentError(
            f"the {what} {text!r} is out of reach", f"give one from {si(low, unit)} to {si(high, unit)}"
        )
    return value


def _cores(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_CORES):
        raise ArgumentError(f"{text!r} is no number of cores", f"give one from 1 to {_MOST_CORES:,}")
    return int(text)


def with_settings(target: Target, settings: TargetSettings, name: str) -> Target:
    """The target under the new `name`, with the settings in place of its table's figures. `made_of` says
    which.

    Raises ArgumentError for cores of a GPU, which is estimated whole, and graphs of anything else.
    """
    is_gpu = target.device_class == "gpu"
    if settings.cores is not None and is_gpu:
        raise ArgumentError(f"{target.name} is a GPU, which is estimated whole", "leave the cores out")
    if settings.graphs and not is_gpu:
        raise ArgumentError(f"{target.name} is no GPU, and replays no graphs", "leave graphs out")
    if settings == TargetSettings():
        return target
    changes: dict[str, Any] = {"name": name}
    notes = list(target.made_of)
    if settings.clock_hz is not None:
        changes |= {"clock_hz": settings.clock_hz, "clock": _given(target.clock_hz, "Hz", target.clock)}
    if settings.bandwidth_bytes_per_s is not None:
        rate = settings.bandwidth_bytes_per_s
        had = _given(target.memory_bandwidth_bytes_per_s, "B/s")
        changes |= {
            "memory_bandwidth_bytes_per_s": rate,
            "part_bandwidth_bytes_per_s": rate,
            "shares_memory_bandwidth": False,
        }
        notes.append(f"memory bandwidth: {si(rate, 'B/s')}, {had}")
    if settings.cores is not None:
        changes |= _with_cores(replace(target, **changes), settings)
        had_cores = f"given (the table has {target.cores})" if target.cores else "given"
        notes.append(f"{settings.cores} cores, {had_cores}: each layer is shared by its output")
        if rate_of_all := changes["memory_bandwidth_bytes_per_s"]:
            notes.append(f"memory gives them {si(rate_of_all, 'B/s')} together")
    if settings.graphs:
        changes["replays_graphs"] = True
        notes.append("kernels are replayed from a recorded graph: no time to launch them")
    return replace(target, **changes, made_of=tuple(notes))


def _with_cores(target: Target, settings: TargetSettings) -> dict[str, Any]:
    """The changed fields for that many cores. Their bandwidth is that of one core × their number, up to that
    of the part.
    """
    assert settings.cores is not None
    one, of_all = target.memory_bandwidth_bytes_per_s, target.part_bandwidth_bytes_per_s
    if settings.bandwidth_bytes_per_s is None and one is not None and not target.shares_memory_bandwidth:
        drawn: float | None = min(settings.cores * one, of_all or math.inf)
    else:
        drawn = of_all or one
    return {
        "cores": settings.cores,
        "working_cores": settings.cores,
        "memory_bandwidth_bytes_per_s": drawn,
        "part_bandwidth_bytes_per_s": drawn,
        "shares_memory_bandwidth": False,
    }


def _given(had: float | None, unit: str, what: str = "") -> str:
    """A note that says that a figure is the user's, and which figure the table has."""
    if had is None:
        return "given (the table has none)"
    return f"given (the table has {si(had, unit)}{', ' + what if what else ''})"
