"""A `Target`: what costing needs to know of a processor. `target_of` makes it from a hardware table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from addercost.hardware.kernel_times import CONTIGUOUS, EAGER
from addercost.hardware.schema.cpu import Cpu
from addercost.hardware.schema.efficiency import Efficiency
from addercost.hardware.schema.gpu import Gpu
from addercost.hardware.schema.instruction import Instruction, MeasuredLoop
from addercost.hardware.vocabulary import Form, Quality

ASSUMED_WAKE_UP_S = 5e-6
"""The time to wake cores, for tables in which it was not measured. It is an assumption: an OpenMP region of a
few threads starts and ends in some microseconds.
"""


IN_NETWORK, STREAMED, WARM, COLD = CACHES = ("network", "streamed", "warm", "cold")
"""The content of the caches before a kernel runs. network: what the network's kernels before it left.
streamed: the same, but a product of one row reads its weights from memory. warm: the kernel's own operands.
cold: none of its operands.
"""


@dataclass(frozen=True, eq=False)
class Target:
    """A core that estimates are made for, and the part that it belongs to. Unknown figures are None.

    instructions: those of the core, with latency, rate and ports. preferred_float_form: the register form
    from which the paper's rule takes floating-point latencies. issue_width_uops: micro-ops a cycle. clock:
    which clock `clock_hz` is, such as "the base clock of Xeon 6132". memory_bandwidth_bytes_per_s: the rate
    that one core can draw; where `shares_memory_bandwidth`, the rate of the whole part. file: the hardware
    table that the target was made from, "" where there is none. sources: the titles of the figures' sources.
    loops: inner loops that were measured on this core. operator_call_s: the seconds that the call of an
    operator takes in addition to its work.

    Of the whole part: cores is their number. part_bandwidth_bytes_per_s is the memory bandwidth of all cores
    together. efficiencies has the shares of these rates that measured networks reached. device_class gives
    default shares where there are none.

    working_cores: how many cores share a layer in the models of one core, 1 unless the user says otherwise.
    wake_up_s: the seconds that it takes to start them and to wait for them. replays_graphs: whether kernels
    are started from a recorded graph and not one by one. made_of: notes on where figures of this target come
    from, printed with its estimates.

    multiprocessors: how many a GPU has. Each computes one tile of a matrix product at a time, and tiles read
    operands through the second-level cache at l2_bandwidth_bytes_per_s.

    processor: the processor's own name. kernel_files: files with times of kernels measured on it.
    borrows_kernels: the user named these files, so they are used even if they are of another machine.
    kernel_layout: the memory layout of images. kernel_mode: how networks are run, one of `MODES` of
    `addercost.hardware.kernel_times`. kernel_caches: the content of caches before a kernel runs, one
    of `CACHES`. memory_bytes: the size of the part's memory, None where parts differ.
    """

    name: str
    title: str
    instructions: tuple[Instruction, ...]
    preferred_float_form: Form = Form.SCALAR
    issue_width_uops: int | None = None
    clock_hz: float | None = None
    clock: str = ""
    memory_bandwidth_bytes_per_s: float | None = None
    shares_memory_bandwidth: bool = False
    file: str = ""
    sources: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    loops: tuple[MeasuredLoop, ...] = ()
    operator_call_s: float | None = None
    cores: int | None = None
    part_bandwidth_bytes_per_s: float | None = None
    device_class: str = "desktop"
    efficiencies: tuple[Efficiency, ...] = ()
    working_cores: int = 1
    wake_up_s: float = ASSUMED_WAKE_UP_S
    replays_graphs: bool = False
    made_of: tuple[str, ...] = ()
    multiprocessors: int | None = None
    l2_bandwidth_bytes_per_s: float | None = None
    processor: str = ""
    kernel_files: tuple[Path, ...] = ()
    borrows_kernels: bool = False
    kernel_layout: str = CONTIGUOUS
    kernel_mode: str = EAGER
    kernel_caches: str = IN_NETWORK
    memory_bytes: int | None = None

    @cached_property
    def _by_op_and_form(self) -> dict[tuple[str, Form], tuple[Instruction, ...]]:
        found: dict[tuple[str, Form], list[Instruction]] = {}
        for row in self.instructions:
            found.setdefault((row.op, row.form), []).append(row)
        order = {quality: i for i, quality in enumerate(Quality)}
        return {
            key: tuple(sorted(rows, key=lambda row: (row.vector_bits, order[row.quality])))
            for key, rows in found.items()
        }

    def rows(self, op: str, forms: Iterable[Form] = tuple(Form)) -> tuple[Instruction, ...]:
        """The instructions for `op`, sorted by form in the order given, then the narrowest first, then
        measured before modelled.
        """
        return tuple(row for form in forms for row in self._by_op_and_form.get((op, form), ()))

    @property
    def has_memory_rate(self) -> bool:
        """Whether bytes of one core can be converted to cycles."""
        return self.memory_bandwidth_bytes_per_s is not None and self.clock_hz is not None

    @property
    def has_part_rates(self) -> bool:
        """Whether bytes of all cores together can be converted to cycles."""
        return self.part_bandwidth_bytes_per_s is not None and self.clock_hz is not None

    def memory_cycles(self, n_bytes: float) -> float:
        """Cycles that `n_bytes`, a column, take at the memory's bandwidth. Requires `has_memory_rate`."""
        assert self.memory_bandwidth_bytes_per_s is not None and self.clock_hz is not None
        return n_bytes / self.memory_bandwidth_bytes_per_s * self.clock_hz


def cited(hardware: Cpu | Gpu) -> tuple[Efficiency, ...]:
    """The table's efficiencies, with the titles of their sources in place of the ids."""
    titles = hardware.sources
    return tuple(replace(found, source=titles[found.source].title) for found in hardware.efficiencies)


def target_of(hardware: Cpu | Target) -> Target:
    """The target that a hardware table describes. A target is returned as it is."""
    if isinstance(hardware, Target):
        return hardware
    part = hardware.part
    clock = bandwidth = None
    if part is not None:
        clock = part.base_clock_hz or part.boost_clock_hz
        bandwidth = part.core_memory_bandwidth_bytes_per_s or part.memory_bandwidth_bytes_per_s
    kind = "base" if part and part.base_clock_hz else "boost"
    if part and part.quality is Quality.MEASURED:
        kind = "measured"
    return Target(
        name=hardware.name,
        title=hardware.title,
        instructions=hardware.instructions,
        preferred_float_form=hardware.preferred_float_form,
        issue_width_uops=hardware.issue_width_uops,
        clock_hz=clock,
        clock=f"the {kind} clock of {part.name}" if part and clock else "",
        memory_bandwidth_bytes_per_s=bandwidth,
        shares_memory_bandwidth=bool(bandwidth and part and not part.core_memory_bandwidth_bytes_per_s),
        # A table that was merged from two files has no single file.
        file="" if hardware.modelled else hardware.file,
        sources=tuple(source.title for source in hardware.sources.values()),
        caveats=hardware.caveats,
        loops=hardware.loops,
        operator_call_s=hardware.calls.operator_call_s if hardware.calls else None,
        cores=part.cores if part else None,
        part_bandwidth_bytes_per_s=part.memory_bandwidth_bytes_per_s if part else None,
        device_class=part.device_class if part else "desktop",
        efficiencies=cited(hardware),
        wake_up_s=(hardware.calls and hardware.calls.thread_wake_up_s) or ASSUMED_WAKE_UP_S,
        made_of=(f"{hardware.name} is {hardware.modelled}",) if hardware.modelled else (),
        processor=part.name if part else "",
    )
