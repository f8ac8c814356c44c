"""What a hardware table says, as plain data. Every figure has its unit in its name and a source that
resolves.

These classes are made by `addercost.hardware.parse`, which validates; they hold no I/O and no arithmetic
models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from addercost.hardware.vocabulary import SITES_PER_LANE, Form, Quality


@dataclass(frozen=True, slots=True)
class Source:
    """Where figures come from: `title` and `licence` always, `url` where there is one page to point to."""

    id: str
    title: str
    licence: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of one CPU: when its result can be used and how many run per cycle.

    `latency_cycles` is None where the source measured only throughput. `reciprocal_throughput_cycles` is
    cycles per instruction in steady state. `lanes` counts result lanes (see `SITES_PER_LANE`). `ports` is
    "" where unknown, else groups of alternatives: `A|B` one cycle of work on A or B, `3*A` three on A, and
    both of `3*A+B`.
    """

    op: str
    form: Form
    vector_bits: int
    lanes: int
    text: str
    latency_cycles: float | None
    latency_low_cycles: float | None
    latency_high_cycles: float | None
    reciprocal_throughput_cycles: float
    reciprocal_throughput_low_cycles: float | None
    reciprocal_throughput_high_cycles: float | None
    uops: int | None
    ports: str
    quality: Quality
    source: str

    @property
    def sites(self) -> int:
        """Input pairs one instruction combines."""
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
        """(low, high): the source's range, or its single figure twice, or None where it has no latency."""
        if self.latency_cycles is None:
            return None
        low, high = self.latency_low_cycles, self.latency_high_cycles
        return (
            self.latency_cycles if low is None else low,
            self.latency_cycles if high is None else high,
        )

    @property
    def reciprocal_throughput_range_cycles(self) -> tuple[float, float]:
        """(low, high) of the source, or its single figure twice."""
        middle = self.reciprocal_throughput_cycles
        low, high = self.reciprocal_throughput_low_cycles, self.reciprocal_throughput_high_cycles
        return (middle if low is None else low, middle if high is None else high)


@dataclass(frozen=True, slots=True)
class Part:
    """A product that carries the core, for turning cycles into seconds. None where the vendor's page has no
    figure.

    `last_level_cache_bytes` is the size of one last-level cache; a part can hold several.
    """

    name: str
    source: str
    quality: Quality
    base_clock_hz: float | None = None
    boost_clock_hz: float | None = None
    cores: int | None = None
    l1d_bytes_per_core: int | None = None
    l2_bytes_per_core: int | None = None
    last_level_cache_bytes: int | None = None
    memory_bandwidth_bytes_per_s: float | None = None
    core_memory_bandwidth_bytes_per_s: float | None = None
    """What one core alone can draw; only measured tables have it."""


@dataclass(frozen=True)
class Cpu:
    """One microarchitecture and its instructions. `name` is the file's name without `.toml`.

    `preferred_float_form` is the form the `latency-sum` model takes floating-point latencies from: scalar
    unless the file says otherwise. The VIA Nano 2000 says x87, because 4 and 2, the figures its published
    comparison uses, are the x87 ones.
    """

    name: str
    title: str
    vendor: str
    isa: str
    file: str
    instructions: tuple[Instruction, ...]
    sources: Mapping[str, Source] = field(hash=False)
    preferred_float_form: Form = Form.SCALAR
    max_vector_bits: int | None = None
    issue_width_uops: int | None = None
    part: Part | None = None
    caveats: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return "cpu"

    @cached_property
    def _by_op_and_form(self) -> dict[tuple[str, Form], tuple[Instruction, ...]]:
        found: dict[tuple[str, Form], list[Instruction]] = {}
        for row in self.instructions:
            found.setdefault((row.op, row.form), []).append(row)
        # Narrowest first; at one width measured before model.
        order = {quality: i for i, quality in enumerate(Quality)}
        return {
            k: tuple(sorted(v, key=lambda r: (r.vector_bits, order[r.quality]))) for k, v in found.items()
        }

    def rows(self, op: str, forms: Iterable[Form] = tuple(Form)) -> tuple[Instruction, ...]:
        """The instructions for `op`, form by form as given, narrowest first, measured before model."""
        return tuple(row for form in forms for row in self._by_op_and_form.get((op, form), ()))

    @property
    def clock_hz(self) -> float | None:
        """The base clock of the typical part, or its boost clock where only that is known, or None."""
        if self.part is None:
            return None
        return self.part.base_clock_hz or self.part.boost_clock_hz


@dataclass(frozen=True, slots=True)
class Rate:
    """Results of one operation per clock per streaming multiprocessor."""

    op: str
    results_per_clock_per_sm: float
    source: str


@dataclass(frozen=True, slots=True)
class GpuLatency:
    op: str
    latency_cycles: float
    source: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """The machine instructions a kernel's inner step compiles to, and how many elements they process."""

    kernel: str
    text: str
    instructions: int
    elements: int
    source: str


@dataclass(frozen=True, slots=True)
class Peak:
    """A vendor's peak rate: operations per second, a multiply-add counted as two, dense."""

    op: str
    ops_per_s: float
    source: str


@dataclass(frozen=True)
class Gpu:
    """One GPU product: peaks, per-clock rates, latencies and compiled inner loops, as far as each is
    known.
    """

    name: str
    title: str
    vendor: str
    architecture: str
    file: str
    sources: Mapping[str, Source] = field(hash=False)
    source: str
    compute_capability: str = ""
    streaming_multiprocessors: int | None = None
    shading_units: int | None = None
    base_clock_hz: float | None = None
    boost_clock_hz: float | None = None
    l2_bytes: int | None = None
    memory_bandwidth_bytes_per_s: float | None = None
    memory_bandwidth_source: str = ""
    peaks: tuple[Peak, ...] = ()
    rates: tuple[Rate, ...] = ()
    latencies: tuple[GpuLatency, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    caveats: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return "gpu"


@dataclass(frozen=True, slots=True)
class EnergyFigure:
    """Energy (pJ) and area (µm²) of one operation; either can be missing. `clock_period_ns` where it was
    designed for one.
    """

    op: str
    number_format: str
    source: str
    quality: Quality
    energy_pj: float | None = None
    area_um2: float | None = None
    clock_period_ns: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class MemoryEnergy:
    """Energy (pJ) of one access of `access_bits`. Where the source gives a range the figure is its middle."""

    memory: str
    access_bits: int
    energy_low_pj: float
    energy_high_pj: float
    source: str
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

    op: str
    coefficients_pj: tuple[float, ...]
    source: str
    quality: Quality

    def energy_pj(self, bits: int) -> float:
        return float(sum(c * bits**i for i, c in enumerate(self.coefficients_pj)))


@dataclass(frozen=True, slots=True)
class RelativeFigure:
    """A published saving of one design over another, as (low, high) fractions. Shown, never used in
    arithmetic.
    """

    claim: str
    quantity: str
    saving_low_fraction: float
    saving_high_fraction: float
    source: str


@dataclass(frozen=True)
class EnergyTable:
    """Energies of one process node or technology."""

    name: str
    title: str
    technology: str
    file: str
    sources: Mapping[str, Source] = field(hash=False)
    operations: tuple[EnergyFigure, ...] = ()
    memories: tuple[MemoryEnergy, ...] = ()
    fits: tuple[EnergyFit, ...] = ()
    relative: tuple[RelativeFigure, ...] = ()
    caveats: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return "energy"


Hardware = Cpu | Gpu | EnergyTable
