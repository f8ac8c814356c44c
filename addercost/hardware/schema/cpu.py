"""A table of the kinds `cpu` and `core`: a microarchitecture and its instructions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from addercost.hardware.schema.efficiency import Efficiency
from addercost.hardware.schema.figures import BytesPerSecond, Citation, ClockHz, DeviceClass
from addercost.hardware.schema.instruction import Instruction, MeasuredLoop
from addercost.hardware.vocabulary import Form, Quality
from addercost.reading import Positive, Size, Text, Whole

Isa = Literal["x86-64", "aarch64", "arm32", "riscv32", "riscv64", "xtensa"]


@dataclass(frozen=True, slots=True)
class CallCosts:
    """The costs of calls in addition to arithmetic. operator_call_s: seconds of calling one operator of eager
    torch on one thread. thread_wake_up_s: seconds to start the threads of a parallel operator and to wait for
    them.
    """

    operator_call_s: Positive
    source: Text
    quality: Quality
    thread_wake_up_s: Positive | None = None


@dataclass(frozen=True, slots=True)
class CpuPart:
    """A product with this core; its clock turns cycles into seconds. A figure is None where the vendor's page
    has none.

    `last_level_cache_bytes` is the size of one last-level cache; a part can have several.
    `core_…_bandwidth_bytes_per_s` is the rate at which one core alone reads from a level, and the same name
    without `core_` is the rate of all cores together. Only measured tables have these for caches.
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
    """Says that a core's figures are those of the table `as_core`, for the reason `because`. own: how many
    figures are the core's own.
    """

    as_core: Text
    because: Text
    own: Size = 0

    def __str__(self) -> str:
        own = f"{self.own} figures are its own; " if self.own else ""
        return f"modelled as {self.as_core}: {own}{self.because}"


@dataclass(frozen=True)
class Cpu:
    """One microarchitecture and its instructions. `name` is the file's name without `.toml`.

    Only calibrated machines have `loops` and `calls`, and only parts on which networks were measured have
    `efficiencies`. `caveats` are doubts about figures that are used. `corrections` say which figures of a
    scheduling model are not used, and which are used instead.

    `modelled`: for a core without a scheduling model, the core whose figures are used.

    `preferred_float_form` is the register form from which the `latency-sum` model takes floating-point
    latencies: scalar unless the file names another one. The VIA Nano 2000 names x87, because the published
    comparison uses 4 and 2 cycles, which are the x87 latencies.
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
    """The file of a core without a scheduling model: the name of another core's table, and the differences
    from it.

    modelled_as: the other table, for the reason `modelled_because`. without: operations and forms that the
    core lacks. max_vector_bits: wider instructions of the other core are left out. instructions: known
    figures of this core, which replace those of the other core.
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
