"""Why a network's layers take another time than was predicted: calls, memory, kernels, or a unit that a table
lacks. Predicted seconds stay estimates; what is explained is the difference to measured ones."""

from __future__ import annotations

from dataclasses import dataclass

FASTER = 1.03
"""A side that is faster than its prediction by more than this was not limited by what the table knows."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a contest: the layers of a network in one arithmetic.

    measured_s, predicted_s: seconds of all layers; predicted by arithmetic alone. memory_s: what their bytes
    take beyond that, by the memory's bandwidth; 0 where timings are of warm caches. calls_s: what calling
    the operator of each layer takes.
    """

    name: str
    measured_s: float
    predicted_s: float
    memory_s: float = 0.0
    calls_s: float = 0.0

    @property
    def times(self) -> float:
        """How many times as long as predicted it takes."""
        return self.measured_s / self.predicted_s

    @property
    def reason(self) -> str:
        """The largest part of the difference to the prediction."""
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
    """The prediction of one contest against its measurement. convolutions, other: the two sides.

    same_winner: None where one of the two is a tie, or cannot tell.
    """

    convolutions: Side
    other: Side
    same_winner: bool | None

    @property
    def to_blame(self) -> Side:
        """The side that is further from its prediction, as a factor."""
        return max((self.convolutions, self.other), key=lambda side: max(side.times, 1 / side.times))
