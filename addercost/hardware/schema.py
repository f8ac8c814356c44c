"""The content of a hardware table as plain data. Every figure has its unit in its name and a source.

The annotations are what `addercost.hardware.parse` validates a file against. No I/O and no cost models here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal

from addercost.arithmetic import Arithmetic
from addercost.hardware.vocabulary import SITES_PER_LANE, Form, Quality
from addercost.reading import Limits, NotNegative, Positive, Size, Text, Whole

Cycles = Annotated[float, Limits(above=0, below=1e6)]
Width = Annotated[int, Limits(least=1, below=1e6)]
ClockHz = Annotated[float, Limits(least=1e3, below=1e12)]
BytesPerSecond = Annotated[float, Limits(least=1e3, below=1e16)]
"""Whatever is beyond these is a slip of the pen: a unit or some zeros too many."""
DeviceClass = Literal["server", "desktop", "phone", "microcontroller"]
Isa = Literal["x86-64", "aarch64", "arm32", "riscv32", "riscv64", "xtensa"]


@dataclass(frozen=True, slots=True)
class Citation:
    """Where figures come from: `title` and `licence` always, `url` where there is one page to point to."""

    title: Text
    licence: Text
    url: Text = ""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of one CPU: when its result can be used and how many run per cycle.

    `latency_cycles` is None where the source measured only throughput. `reciprocal_throughput_cycles` is
    cycles per instruction in steady state. `lanes` counts result lanes (see `SITES_PER_LANE`). `ports` is
    "" where unknown, else groups of alternatives: `A|B` one cycle of work on A or B, `3*A` three on A, and
    both of `3*A+B`.
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


@dataclass(frozen=True)
class MeasuredLoop:
    """The inner loop of a register-blocked kernel, timed whole: what its instructions do together.

    One step combines `sites` input-weight pairs in `cycles`. number_format: of the operands; `bool` for
    packed signs. text: the instructions of a step.
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

    @cached_property
    def step(self) -> Instruction:
        """One step as an instruction that does all of it."""
        return Instruction(
            op=f"the measured {self.arithmetic} loop ({self.number_format})",
            form=Form.VECTOR,
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


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What runs of networks reach of what a part can do: three numbers, fitted on measured networks.

    run: the cost model whose runs they were. arithmetic_share: of the throughput of all cores;
    bandwidth_share: of the part's memory bandwidth; call_s: seconds that a kernel takes beside its work.
    spread: nine networks of ten take between 1/spread and spread times the estimate, None where that is not
    known. networks: how many they were fitted on.
    """

    run: Text
    arithmetic_share: Positive
    bandwidth_share: Positive
    call_s: NotNegative
    source: Text
    quality: Quality
    spread: Positive | None = None
    networks: Whole | None = None


@dataclass(frozen=True, slots=True)
class CallCosts:
    """What calling costs before any arithmetic begins. operator_call_s: one operator of eager torch on one
    thread. thread_wake_up_s: starting the threads of a parallel operator and waiting for them.
    """

    operator_call_s: Positive
    source: Text
    quality: Quality
    thread_wake_up_s: Positive | None = None


@dataclass(frozen=True, slots=True)
class CpuPart:
    """A product with this core, which turns cycles into seconds. A figure is None where the vendor's page has
    none.

    `last_level_cache_bytes` is the size of one last-level cache; a part can have several.
    `core_…_bandwidth_bytes_per_s` is what one core alone reads from a level, the same without `core_` what
    all cores read together; of the caches only measured tables have them.
    """

    name: Text
    source: Text
    quality: Quality
    base_clock_hz: ClockHz | None = None
    boost_clock_hz: ClockHz | None = None
    cores: Whole | None = None
    l1d_bytes_per_core: Whole | None = None
    l2_bytes_per_core: Whole | None = None
    last_level_cache_bytes: Whole | None = None
    device_class: DeviceClass = "desktop"
    memory_bandwidth_bytes_per_s: BytesPerSecond | None = None
    core_memory_bandwidth_bytes_per_s: BytesPerSecond | None = None
    core_l1_bandwidth_bytes_per_s: BytesPerSecond | None = None
    core_l2_bandwidth_bytes_per_s: BytesPerSecond | None = None
    core_l3_bandwidth_bytes_per_s: BytesPerSecond | None = None
    l1_bandwidth_bytes_per_s: BytesPerSecond | None = None
    l2_bandwidth_bytes_per_s: BytesPerSecond | None = None
    l3_bandwidth_bytes_per_s: BytesPerSecond | None = None


@dataclass(frozen=True, slots=True)
class Modelled:
    """A core's figures are those of the table `as_core`, for the reason `because`, but for `own` of them."""

    as_core: Text
    because: Text
    own: Size = 0

    def __str__(self) -> str:
        own = f"{self.own} figures are its own; " if self.own else ""
        return f"modelled as {self.as_core}: {own}{self.because}"


@dataclass(frozen=True)
class Cpu:
    """One microarchitecture and its instructions. `name` is the file's name without `.toml`.

    `loops` and `calls` are known of machines that were calibrated, `efficiencies` of parts on which networks
    were measured. `caveats` are doubts about figures that are used; `corrections` say which figures of a
    scheduling model are not used, and what is instead.

    `modelled`: the core whose figures stand in, of a core that has no scheduling model of its own.

    `preferred_float_form` is the form the `latency-sum` model takes floating-point latencies from: scalar
    unless the file names another one. The VIA Nano 2000 names x87, because 4 and 2, the figures its published
    comparison uses, are the x87 ones.
    """

    name: str
    title: Text
    vendor: Text
    isa: Isa
    file: str
    instructions: tuple[Instruction, ...]
    sources: Mapping[str, Citation] = field(hash=False)
    preferred_float_form: Form = Form.SCALAR
    max_vector_bits: Whole | None = None
    issue_width_uops: Whole | None = None
    part: CpuPart | None = None
    loops: tuple[MeasuredLoop, ...] = ()
    calls: CallCosts | None = None
    efficiencies: tuple[Efficiency, ...] = ()
    caveats: tuple[Text, ...] = ()
    corrections: tuple[Text, ...] = ()
    modelled: Modelled | None = None

    @property
    def kind(self) -> str:
        return "core" if self.modelled else "cpu"

    @property
    def clock_hz(self) -> float | None:
        """The base clock of the typical part, or its boost clock where only that is known, or None."""
        if self.part is None:
            return None
        return self.part.base_clock_hz or self.part.boost_clock_hz


@dataclass(frozen=True)
class ModelledCore:
    """A core without a scheduling model of its own, as its file has it: another core's table, and what
    differs from that.

    modelled_as: the other table, for the reason `modelled_because`. without: operations and forms that the
    core lacks. max_vector_bits: wider instructions of the other core are left out. instructions: known of
    this core; they replace those of the other one.
    """

    name: str
    title: Text
    vendor: Text
    isa: Isa
    file: str
    instructions: tuple[Instruction, ...]
    modelled_as: Text
    modelled_because: Text
    sources: Mapping[str, Citation] = field(hash=False)
    without: tuple[Text, ...] = ()
    max_vector_bits: Whole | None = None
    caveats: tuple[Text, ...] = ()

    @property
    def kind(self) -> str:
        return "core"


@dataclass(frozen=True)
class Device:
    """A board, phone, computer or server: cores of one table, a clock, memory.

    core: the table of its fastest cores; cores: how many of them there are; further_cores: others, which
    estimates leave idle. core_memory_bandwidth_bytes_per_s: what one core reads and writes together;
    `memory_…` what the memory gives to all. l2_bytes: of one core or of a cluster. last_level_cache_bytes:
    of one such cache. sram_bytes: the memory of a microcontroller. unconfirmed: the figures that are
    remembered and were not read in a source.
    """

    name: str
    title: Text
    file: str
    soc: Text
    device_class: DeviceClass
    core: Text
    cores: Whole
    source: Text
    sources: Mapping[str, Citation] = field(hash=False)
    further_cores: str = ""
    sustained_clock_hz: ClockHz | None = None
    boost_clock_hz: ClockHz | None = None
    memory_bandwidth_bytes_per_s: BytesPerSecond | None = None
    core_memory_bandwidth_bytes_per_s: BytesPerSecond | None = None
    l1d_bytes: Whole | None = None
    l2_bytes: Whole | None = None
    last_level_cache_bytes: Whole | None = None
    sram_bytes: Whole | None = None
    unconfirmed: tuple[Text, ...] = ()
    caveats: tuple[Text, ...] = ()

    @property
    def kind(self) -> str:
        return "device"

    @property
    def figures(self) -> dict[str, float]:
        """Those that are known, by field."""
        return {name: value for name in DEVICE_FIGURES if (value := getattr(self, name)) is not None}

    @property
    def clock_hz(self) -> float | None:
        return self.sustained_clock_hz or self.boost_clock_hz


DEVICE_FIGURES = {
    "cores": "cores",
    "sustained_clock_hz": "sustained clock",
    "boost_clock_hz": "boost clock",
    "core_memory_bandwidth_bytes_per_s": "memory bandwidth of one core",
    "memory_bandwidth_bytes_per_s": "memory bandwidth of all cores",
    "l1d_bytes": "first-level data cache",
    "l2_bytes": "second-level cache",
    "last_level_cache_bytes": "last-level cache",
    "sram_bytes": "SRAM",
}
"""The figures of a device, by field, in words."""


@dataclass(frozen=True, slots=True)
class GpuRate:
    """Results of one operation per clock per streaming multiprocessor."""

    op: Text
    results_per_clock_per_sm: Positive
    source: Text


@dataclass(frozen=True, slots=True)
class GpuLatency:
    """Cycles until the result of one operation can be used."""

    op: Text
    latency_cycles: Positive
    source: Text


@dataclass(frozen=True, slots=True)
class GpuSequence:
    """The machine instructions a kernel's inner step compiles to, and how many elements they process."""

    kernel: Text
    text: Text
    instructions: Whole
    elements: Whole
    source: Text


@dataclass(frozen=True, slots=True)
class GpuPeak:
    """A vendor's peak rate: operations per second, a multiply-add counted as two, dense."""

    op: Text
    ops_per_s: Positive
    source: Text


@dataclass(frozen=True)
class Gpu:
    """One GPU product: peaks, per-clock rates, latencies, compiled inner loops, as far as each is known."""

    name: str
    title: Text
    vendor: Text
    architecture: Text
    file: str
    sources: Mapping[str, Citation] = field(hash=False)
    source: Text
    compute_capability: Text = ""
    streaming_multiprocessors: Whole | None = None
    shading_units: Whole | None = None
    base_clock_hz: ClockHz | None = None
    boost_clock_hz: ClockHz | None = None
    l2_bytes: Whole | None = None
    memory_bandwidth_bytes_per_s: BytesPerSecond | None = None
    memory_bandwidth_source: Text = ""
    peaks: tuple[GpuPeak, ...] = ()
    rates: tuple[GpuRate, ...] = ()
    latencies: tuple[GpuLatency, ...] = ()
    sequences: tuple[GpuSequence, ...] = ()
    efficiencies: tuple[Efficiency, ...] = ()
    caveats: tuple[Text, ...] = ()

    @property
    def kind(self) -> str:
        return "gpu"


@dataclass(frozen=True, slots=True)
class EnergyFigure:
    """Energy (pJ) and area (µm²) of one operation, of which one may be missing. `clock_period_ns` where the
    block was designed for one.
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
    """Energy (pJ) of one access of `access_bits`. Where the source gives a range the figure is its middle."""

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
    """A published saving of one design over another, as (low, high) fractions. Shown, never used in
    arithmetic.
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


Side = Annotated[int, Limits(least=1, below=65_537)]
Operand = Literal["input", "filter", "output"]
OperandFormat = Literal["int8", "int16", "fp16", "fp32"]
SumFormat = Literal["int8", "int16", "int32", "fp16", "fp32"]
Dataflow = Literal["weight-stationary", "output-stationary", "input-stationary"]


@dataclass(frozen=True, slots=True)
class AcceleratorMemory:
    """One level of memory of an accelerator, and the operands that it serves.

    role: `register` stands in every element and serves each site; a `buffer` feeds the array; `dram` holds
    everything. size_bytes and bytes_per_cycle are None where no limit is known.
    """

    memory: Text
    role: Literal["register", "buffer", "dram"]
    operands: tuple[Operand, ...]
    energy_pj_per_byte: Annotated[float, Limits(above=0, below=1e6)]
    source: Text
    quality: Quality
    size_bytes: Whole | None = None
    bytes_per_cycle: Positive | None = None


@dataclass(frozen=True)
class Accelerator:
    """An array of elements, each of which computes one site a cycle, and the memories that feed it.

    structure: a `systolic` array of rows × columns, or a `vector` of `columns` lanes with one row.
    number_format, accumulator_format: of operands and sums. energy_table: the table whose energies and areas
    the elements have. source: of rows, columns, dataflow and clock.
    """

    name: str
    title: Text
    file: str
    structure: Literal["systolic", "vector"]
    rows: Side
    columns: Side
    dataflow: Dataflow
    number_format: OperandFormat
    accumulator_format: SumFormat
    clock_hz: Annotated[float, Limits(above=0, below=1e11)]
    energy_table: Text
    memories: tuple[AcceleratorMemory, ...]
    sources: Mapping[str, Citation] = field(hash=False)
    source: Text
    caveats: tuple[Text, ...] = ()

    @property
    def kind(self) -> str:
        return "accelerator"


Hardware = Cpu | Device | Gpu | EnergyTable | Accelerator
