"""Profiles that can be compared, and the baseline of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from addercost.errors import ArgumentError
from addercost.results.profile import Profile


@dataclass(frozen=True, slots=True)
class Comparison:
    """Profiles of one convention and the same processors; those of one model have the same inputs.

    Raises ArgumentError for none at all, and where conventions, inputs, processors or cost models differ.
    """

    profiles: tuple[Profile, ...]

    def __post_init__(self) -> None:
        if not self.profiles:
            raise ArgumentError("nothing to compare")
        conventions = {profile.counts.convention.name for profile in self.profiles}
        if len(conventions) > 1:
            raise ArgumentError(
                f"profiles of different conventions cannot be compared: {' and '.join(sorted(conventions))}",
                "count them by the same one",
            )
        inputs: dict[str, Any] = {}
        for profile in self.profiles:
            counts = profile.counts
            if inputs.setdefault(counts.model, counts.inputs) != counts.inputs:
                raise ArgumentError(f"{counts.model} is given with different inputs", "use the same ones")
        processors = {tuple((c.hardware, c.model) for c in profile.costs) for profile in self.profiles}
        if len(processors) > 1:
            raise ArgumentError("profiles of different processors or cost models cannot be compared")

    def baseline(self, profile: Profile) -> Profile:
        """The first profile of the same model, against which ratios are taken."""
        return next(p for p in self.profiles if p.counts.model == profile.counts.model)
