"""An instruction of a processor, and a measured loop of several instructions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from addercost.arithmetic import Arithmetic
from addercost.hardware.schema.figures import Cycles, Width
from addercost.hardware.vocabulary import SITES_PER_LANE, Form, Quality
from addercost.reading import Text, Whole


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction of a CPU: when its result can be used, and how many start in a cycle.

    `latency_cycles` is None where the source measured only throughput. `reciprocal_throughput_cycles` is
    cycles per instruction in steady state. `lanes` counts result lanes (see `SITES_PER_LANE`). `ports` is ""
    where unknown. Otherwise it has groups joined by +: `A|B` is one cycle of work on A or B, `3*A` is three
    cycles on A, and `3*A+B` is three cycles on A and one on B.
    """

    op: Text
    form: Form
    vector_bits: Width
    lanes: Width
    text: Text
    latency_cycles: Cycles | None
    latency_low_cycles: Cycles | None
    latency_high_cycles: Cycles | None
    reciprocal_throughput_cycles: Cycles
    reciprocal_throughput_low_cycles: Cycles | None
    reciprocal_throughput_high_cycles: Cycles | None
    uops: Width | None
    ports: str
    quality: Quality
    source: Text

    @property
    def sites(self) -> int:
        """How many pairs of inputs one instruction combines."""
        return self.lanes * SITES_PER_LANE.get(self.op, 1)

    @property
    def port_groups(self) -> tuple[tuple[float, tuple[str, ...]], ...]:
        """(cycles of work, the ports that can do it) for each group of `ports`."""
        groups = []
        for group in self.ports.split("+") if self.ports else ():
            work, times, alternatives = group.rpartition("*")
            groups.append((float(work) if times else 1.0, tuple(alternatives.split("|"))))
        return tuple(groups)

    @property
    def latency_range_cycles(self) -> tuple[float, float] | None:
        """(low, high): the source's range, or its single figure twice; None where it gives no latency."""
        if self.latency_cycles is None:
            return None
        low, high = self.latency_low_cycles, self.latency_high_cycles
        return (
            self.latency_cycles if low is None else low,
            self.latency_cycles if high is None else high,
        )


@dataclass(frozen=True)
class MeasuredLoop:
    """The inner loop of a register-blocked kernel, which was timed as a whole.

    One step combines `sites` pairs of input and weight in `cycles`. number_format: that of the operands;
    `bool` for packed signs. text: the instructions of a step.
    """

    arithmetic: Arithmetic
    number_format: Text
    vector_bits: Width
    sites: Whole
    cycles: Cycles
    cycles_low: Cycles
    cycles_high: Cycles
    text: Text
    quality: Quality
    source: Text

    @property
    def sites_per_cycle(self) -> float:
        return self.sites / self.cycles

    @property
    def form(self) -> Form:
        """The register form, by the width: a tile of a matrix unit is wider than the widest vector register,
        which is one of Arm's SVE.
        """
        return Form.MATRIX if self.vector_bits > 2048 else Form.VECTOR

    @cached_property
    def step(self) -> Instruction:
        """A step as if it were a single instruction."""
        return Instruction(
            op=f"the measured {self.arithmetic} loop ({self.number_format})",
            form=self.form,
            vector_bits=self.vector_bits,
            lanes=self.sites,
            text=self.text,
            latency_cycles=None,
            latency_low_cycles=None,
            latency_high_cycles=None,
            reciprocal_throughput_cycles=self.cycles,
            reciprocal_throughput_low_cycles=self.cycles_low,
            reciprocal_throughput_high_cycles=self.cycles_high,
            uops=None,
            ports="",
            quality=self.quality,
            source=self.source,
        )
