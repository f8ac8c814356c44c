"""A table of the kind `energy`: energies and areas of operations and memories at one process node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from addercost.hardware.schema.figures import Citation
from addercost.hardware.vocabulary import Quality
from addercost.reading import NotNegative, Positive, Text, Whole


@dataclass(frozen=True, slots=True)
class EnergyFigure:
    """Energy (pJ) and area (µm²) of one operation; one of the two may be missing. clock_period_ns: the clock
    period for which the circuit was designed, if known.
    """

    op: Text
    number_format: Text
    source: Text
    quality: Quality
    energy_pj: Positive | None = None
    area_um2: Positive | None = None
    clock_period_ns: Positive | None = None
    note: Text = ""


@dataclass(frozen=True, slots=True)
class MemoryEnergy:
    """Energy (pJ) of one access of `access_bits` bits. Where the source gives a range, the figure is its
    middle.
    """

    memory: Text
    access_bits: Whole
    energy_low_pj: Positive
    energy_high_pj: Positive
    source: Text
    quality: Quality

    @property
    def energy_pj(self) -> float:
        return (self.energy_low_pj + self.energy_high_pj) / 2

    @property
    def energy_pj_per_byte(self) -> float:
        return self.energy_pj * 8 / self.access_bits


@dataclass(frozen=True, slots=True)
class EnergyFit:
    """Energy of an integer operation of N bits: Σ coefficients_pj[i] · Nⁱ."""

    op: Text
    coefficients_pj: tuple[NotNegative, ...]
    source: Text
    quality: Quality

    def energy_pj(self, bits: int) -> float:
        return float(sum(c * bits**i for i, c in enumerate(self.coefficients_pj)))


@dataclass(frozen=True, slots=True)
class RelativeFigure:
    """A published saving of one design over another, as (low, high) fractions. It is shown and never used in
    a computation.
    """

    claim: Text
    quantity: Text
    saving_low_fraction: Positive
    saving_high_fraction: Positive
    source: Text


@dataclass(frozen=True)
class EnergyTable:
    """Energies of one process node or technology."""

    name: str
    title: Text
    technology: Text
    file: str
    sources: Mapping[str, Citation] = field(hash=False)
    operations: tuple[EnergyFigure, ...] = ()
    memories: tuple[MemoryEnergy, ...] = ()
    fits: tuple[EnergyFit, ...] = ()
    relative: tuple[RelativeFigure, ...] = ()
    caveats: tuple[Text, ...] = ()

    @property
    def kind(self) -> str:
        return "energy"
