"""The reason for the difference between predicted and measured times of a network's layers: calls, memory,
kernels, or a unit that the table lacks.
"""

from __future__ import annotations

from dataclasses import dataclass

FASTER = 1.03
"""If a side is faster than its prediction by more than this factor, the table must lack something."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a contest: the layers of a network in one arithmetic.

    measured_s: seconds of all layers. predicted_s: predicted seconds of their arithmetic alone. memory_s:
    additional seconds for their bytes at the memory's bandwidth; 0 for timings with warm caches. calls_s:
    seconds for calling each layer's operator.
    """

    name: str
    measured_s: float
    predicted_s: float
    memory_s: float = 0.0
    calls_s: float = 0.0

    @property
    def times(self) -> float:
        """How many times as long the side takes as predicted."""
        return self.measured_s / self.predicted_s

    @property
    def reason(self) -> str:
        """The reason with the largest part of the difference."""
        if self.times < 1 / FASTER:
            return "faster than its limit by the table: it runs on a unit or by a loop that the table lacks"
        kernel_s = max(self.measured_s - self.predicted_s - self.memory_s - self.calls_s, 0.0)
        parts = {
            "calls, not arithmetic": self.calls_s,
            "memory": self.memory_s,
            "its kernels, which stay below the limit": kernel_s,
        }
        return f"mostly {max(parts, key=lambda name: parts[name])}" if self.times > FASTER else "as predicted"


@dataclass(frozen=True, slots=True)
class PredictionGap:
    """Compares the prediction of a contest with its measurement. convolutions, other: the two sides.

    same_winner: whether both have the same faster side; None where the prediction is a tie or the measurement
    cannot tell.
    """

    convolutions: Side
    other: Side
    same_winner: bool | None

    @property
    def to_blame(self) -> Side:
        """The side whose time differs from its prediction by the larger factor."""
        return max((self.convolutions, self.other), key=lambda side: max(side.times, 1 / side.times))
