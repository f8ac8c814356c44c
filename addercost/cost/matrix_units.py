"""How a processor's matrix unit favours multiplications over additions.

A matrix unit multiplies two small matrices in one instruction. It adds up products and nothing else, so an L1
distance, |input - weight| summed, has no form for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from addercost.arithmetic import Arithmetic
from addercost.cost.bounds import all_bounds, binding
from addercost.cost.sequences import SiteSequence, site_sequence
from addercost.cost.target import Target
from addercost.hardware.vocabulary import Form


@dataclass(frozen=True, slots=True)
class MatrixUnit:
    """The limits of one core in sites a cycle, and the instruction of the unit.

    with_unit: multiply-adds on the unit. without_unit: multiply-adds on vector registers. additions: L1
    distances. The last two are None where the table has no figures for them.
    """

    instruction: str
    number_format: str
    with_unit: float
    without_unit: float | None
    additions: float | None

    @property
    def sentence(self) -> str:
        text = (
            f"in {self.number_format}, the vendor's convolution may run on it ({self.instruction}), and an "
            f"L1 distance has no form for it; limits a cycle: {self.with_unit:,.4g} multiply-adds on the unit"
        )
        if self.without_unit:
            text += f", {self.without_unit:,.4g} on vector registers"
        if self.additions:
            text += f", {self.additions:,.4g} L1 distances"
        if self.without_unit:
            text += f"; the unit alone decides a factor of {self.with_unit / self.without_unit:.3g}"
        return text


LEAD = "matrix unit of "


def matrix_unit(target: Target, number_format: str) -> MatrixUnit | None:
    """The matrix unit of `target` for a number format; None where its fastest multiply-adds use none."""
    fastest = site_sequence(target, Arithmetic.MAC, number_format)
    if fastest is None or not fastest.on_matrix_unit:
        return None
    return MatrixUnit(
        instruction=next(row.text for row, _ in fastest.executions if row.form is Form.MATRIX),
        number_format=number_format,
        with_unit=_sites_per_cycle(target, fastest),
        without_unit=_rate(target, site_sequence(target, Arithmetic.MAC, number_format, matrix=False)),
        additions=_rate(target, site_sequence(target, Arithmetic.ADDER, number_format)),
    )


def matrix_unit_lines(targets: Sequence[Target], number_formats: Sequence[str]) -> Iterator[str]:
    """A line for each processor and number format whose multiply-adds run on a matrix unit."""
    for target in targets:
        for number_format in number_formats:
            if unit := matrix_unit(target, number_format):
                yield f"{LEAD}{target.name}: {unit.sentence}"


def _rate(target: Target, sequence: SiteSequence | None) -> float | None:
    return _sites_per_cycle(target, sequence) if sequence else None


def _sites_per_cycle(target: Target, sequence: SiteSequence) -> float:
    cycles: float = binding(all_bounds(target, sequence.executions)).cycles
    return sequence.sites / cycles
