"""Reads the profile in a saved file: a profile, or a report as JSON or HTML page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from addercost.arithmetic import Arithmetic
from addercost.cost.estimate import estimate
from addercost.cost.models import usable_model
from addercost.cost.target_registry import load_target
from addercost.errors import ArgumentError, DataError
from addercost.results.profile import Profile
from addercost.results.report import Report, arithmetic_of
from addercost.results.saved import read_saved


def reopen_profile(
    spec: str,
    convention: str | None = None,
    arithmetic: Arithmetic | str | None = None,
    cpus: tuple[str, ...] | None = None,
    cost_models: tuple[str, ...] = (),
    hardware_path: Path | None = None,
) -> Profile:
    """The profile in the file `spec`. From a report it is the first, or the one counted as `arithmetic`.

    convention: the convention that it must have been counted by, if given. cpus: processors to estimate on
    instead of its own. cost_models: for each of these processors; by default the best that it has figures
    for. hardware_path: a folder of further tables. Raises ArgumentError where the file was counted by another
    convention or arithmetic. Raises DataError where it is damaged or has no profile.
    """
    saved = read_saved(Path(spec))
    if isinstance(saved, Report) and len(saved.subjects) > 1:
        names = ", ".join(subject.name for subject in saved.subjects)
        raise ArgumentError(f"{spec} is about several models: {names}", "make a report of one of them")
    if isinstance(saved, Report) and saved.subjects:
        profiles = saved.subjects[0].profiles
    elif isinstance(saved, Profile):
        profiles = (saved,)
    else:
        raise DataError(f"{spec} has no profile in it", "name a profile or a report of a model")
    profile = profiles[0]
    if arithmetic is not None:
        fitting = [p for p in profiles if arithmetic_of(p) == arithmetic]
        if not fitting:
            raise ArgumentError(f"{spec} was not counted as {arithmetic}", "profile the model itself")
        profile = fitting[0]
    own = profile.counts.convention.name
    if convention is not None and convention != own:
        raise ArgumentError(
            f"{spec} is counted by the convention {own}, not {convention}", "profile the model itself"
        )
    if cpus is not None:
        targets = [load_target(name, hardware_path) for name in cpus]
        costs = (
            estimate(profile.counts, target, usable_model(name, target).name if name else None)
            for target in targets
            for name in cost_models or (None,)
        )
        return replace(profile, costs=tuple(costs))
    return profile
