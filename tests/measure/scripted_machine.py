"""A machine of scripted speed: time passes only by what runs on it, and nothing reads a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from addercost.measure.speed.reference import ReferenceSpeed

QUIET_S = 4e-5
PRODUCTS = 8


@dataclass
class ScriptedMachine:
    """factor: from seconds to how many times as long everything takes then. glitches: what the first
    references return in place of their own times."""

    factor: Callable[[float], float] = lambda t: 1.0
    glitches: list[float] = field(default_factory=list)
    t: float = 0.0
    slept_s: float = 0.0
    references: int = 0

    def reference(self) -> float:
        self.references += 1
        took = QUIET_S * self.factor(self.t)
        self.t += PRODUCTS * took
        return self.glitches.pop(0) if self.glitches else took

    def run(self, seconds: float) -> Callable[[], float]:
        """Work that takes `seconds` on the quiet machine; it returns what it took."""

        def work() -> float:
            took = seconds * self.factor(self.t)
            self.t += took
            return took

        return work

    def sleep(self, seconds: float) -> None:
        self.t += seconds
        self.slept_s += seconds

    def speed(self, quiet_s: float | None = QUIET_S, found=lambda quiet_s: None) -> ReferenceSpeed:
        return ReferenceSpeed(self.reference, quiet_s, found, lambda: self.t, self.sleep)
