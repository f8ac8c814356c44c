"""What a user cannot get because a hardware table lacks a figure, for every kind of table."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.arithmetic import Arithmetic
from addercost.cost.accelerator.element import element_of
from addercost.cost.gpu_target import BY_SEQUENCE, MATRIX_PEAKS
from addercost.cost.table_check import consequences, consequences_of_instructions
from addercost.hardware.schema.accelerator import Accelerator
from addercost.hardware.schema.cpu import Cpu
from addercost.hardware.schema.device import Device
from addercost.hardware.schema.energy import EnergyTable
from addercost.hardware.schema.gpu import Gpu
from addercost.hardware.schema.kinds import Hardware

_SUMS = (("int8", "int32"), ("fp16", "fp16"), ("fp32", "fp32"))


def gaps(table: Hardware, names: EnergyTable | Cpu | None = None) -> Iterator[str]:
    """One sentence for each figure that is missing in `table`, or in the table that it refers to. names: that
    other table: the energy table of an accelerator, or the core of a device.
    """
    match table:
        case Cpu():
            yield from consequences(table)
        case Device():
            yield from _of_device(table)
            if isinstance(names, Cpu):
                yield from (f"its core {names.name}: {text}" for text in consequences_of_instructions(names))
        case Gpu():
            yield from _of_gpu(table)
        case EnergyTable():
            yield from _of_energies(table)
        case Accelerator():
            yield from _of_accelerator(table, names if isinstance(names, EnergyTable) else None)


def _of_device(device: Device) -> Iterator[str]:
    one, of_all = device.core_memory_bandwidth_bytes_per_s, device.memory_bandwidth_bytes_per_s
    if device.clock_hz is None:
        yield "no clock: estimates are cycles and no seconds, and roofline, eager and fused need --clock"
    if one is None and of_all is None:
        yield "no memory bandwidth: roofline, eager and fused need --bandwidth"
    elif one is None:
        yield "no memory bandwidth of one core: roofline lets one core draw that of all"
    elif of_all is None:
        yield "no memory bandwidth of all cores: eager and fused need --bandwidth"


def _of_gpu(gpu: Gpu) -> Iterator[str]:
    if gpu.boost_clock_hz is None and gpu.base_clock_hz is None:
        yield "no clock: no seconds, and no matrix units, whose rates follow from peaks and the clock"
    if gpu.memory_bandwidth_bytes_per_s is None:
        yield "no memory bandwidth: roofline, eager and fused need --bandwidth"
    if gpu.streaming_multiprocessors is None:
        yield "no number of multiprocessors: no rates of instructions, and no waves of matrix products"
    if gpu.l2_bandwidth_bytes_per_s is None:
        yield "no bandwidth of L2: roofline leaves out what tiles of matrix products read again"
    peaks = {peak.op for peak in gpu.peaks}
    for op in MATRIX_PEAKS:
        if op not in peaks:
            yield f"no peak of {op}: such layers are charged to the vector units, or are a lower bound"
    rates = {rate.op for rate in gpu.rates}
    if not rates:
        yield "no rates of instructions: adder, binary and shift layers have no estimate"
    elif "uint8x4_sad" not in rates:
        yield "no rate of sums of four absolute differences: adder layers in 8 bits are charged one by one"
    compiled = {sequence.kernel for sequence in gpu.sequences}
    for kernel in BY_SEQUENCE:
        if kernel not in compiled:
            yield (
                f"no instructions of {kernel}: throughput and roofline give a lower bound for networks with "
                "it, and eager and fused charge a polynomial"
            )


def _of_energies(table: EnergyTable) -> Iterator[str]:
    for number_format, sums in _SUMS:
        elements = [element_of(kind, number_format, sums, table) for kind in Arithmetic]
        energy = dict.fromkeys(text for element in elements for text in element.missing if "energy" in text)
        areas = dict.fromkeys(text for element in elements for text in element.missing if "area" in text)
        if energy:
            yield (
                f"{number_format} summed in {sums}: no figure for {', '.join(energy)}: --energy and "
                "accelerators give a lower bound for what needs it, and no ratio"
            )
        if areas:
            yield (
                f"{number_format} summed in {sums}: no figure for {', '.join(areas)}: --equal-area is refused"
            )
    if not table.memories:
        yield "no energies of memories: --memory has no level to charge"


def _of_accelerator(accelerator: Accelerator, energies: EnergyTable | None) -> Iterator[str]:
    for memory in accelerator.memories:
        if memory.bytes_per_cycle is None and memory.role != "register":
            yield f"no bytes a cycle of {memory.memory}: the array never waits for it"
        if memory.size_bytes is None and memory.role == "buffer":
            yield f"no size of {memory.memory}: it holds every layer, which is never cut into tiles for it"
    served = {
        operand for memory in accelerator.memories if memory.role == "buffer" for operand in memory.operands
    }
    for operand in ("input", "filter", "output"):
        if operand not in served:
            yield f"no buffer of {operand}s: they pass from or to DRAM as often as the array needs them"
    if energies is None:
        return
    for kind in Arithmetic:
        element = element_of(kind, accelerator.number_format, accelerator.accumulator_format, energies)
        for text in element.missing:
            what = "a lower bound of joules" if "energy" in text else "no --equal-area"
            yield f"{energies.name} has no figure for {text}: {what} with {kind} elements"
