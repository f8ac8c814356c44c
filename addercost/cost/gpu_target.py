"""A GPU as a `Target`: one core that executes the instructions of warps on all multiprocessors together.

A data sheet gives results per clock and multiprocessor, and peaks of matrix units. An instruction of a warp
has 32 lanes, so it takes 32 / (rate × multiprocessors) cycles of the whole GPU. Cycles are those of the boost
clock, at which peaks are quoted. The absolute value of a float is a modifier of the instruction that reads it
and takes none. A division and a square root are sequences of instructions, which take as long as these take
to be issued.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from addercost.cost.target import Target, cited
from addercost.hardware.schema.gpu import Gpu
from addercost.hardware.schema.instruction import Instruction
from addercost.hardware.vocabulary import Form, Quality

WARP_LANES = 32
_WARP_BITS = 32 * WARP_LANES

# Which instructions execute at each rate of the table, and how many elements a lane holds.
_AT_RATE: dict[str, tuple[tuple[str, ...], int]] = {
    "fp32_fma": (("fp32_fma",), 1),
    "fp32_add": (("fp32_add", "fp32_absdiff"), 1),
    "fp32_mul": (("fp32_mul",), 1),
    "fp16_fma": (("fp16_fma", "fp16_add", "fp16_mul", "fp16_absdiff"), 2),
    "compare": (("fp32_max", "int32_max"), 1),
    "int32_add": (("int32_add",), 1),
    "int32_mla": (("int32_mla",), 1),
    "int32_mul": (("int32_mul",), 1),
    "int32_shift": (("shift_var", "shift_imm"), 1),
    "int32_logic": (("xor", "and"), 1),
    "int32_popcount": (("int32_popcount",), 1),
    "uint8x4_sad": (("uint8_sad_acc",), 4),
}
_STANDS_FOR = {"fp32_add": "fp32_fma", "fp32_mul": "fp32_fma", "int32_mul": "int32_mla"}
"""Rates that stand in for each other where a table lacks one, since both run on the same pipes."""

BY_SEQUENCE = {"fp32 a / b": "fp32_div", "fp32 sqrt(a)": "fp32_sqrt"}
"""Operations for which a table has the length of an instruction sequence. Issuing the sequence is the limit:
a multiprocessor can issue 12.8 divisions of ten instructions each in a clock, and its units can compute 16
reciprocals.
"""

# A warp's matrix instruction multiplies 16×16 by 16×8 (int8: 16×32 by 32×8).
_MATRIX_LANES = 512
MATRIX_PEAKS = {
    "fp16 matrix multiply-add, fp32 accumulation": "fp16_mmla",
    "bf16 matrix multiply-add, fp32 accumulation": "bf16_mmla",
    "int8 matrix multiply-add, int32 accumulation": "int8_mmla",
}
"""The peaks of matrix units by their names in tables, and the instruction of each."""
_ISSUES_PER_MULTIPROCESSOR = 4


def gpu_target(gpu: Gpu) -> Target:
    """The target that a GPU's table describes."""
    clock, kind = gpu.boost_clock_hz or gpu.base_clock_hz, "boost" if gpu.boost_clock_hz else "base"
    processors = gpu.streaming_multiprocessors
    return Target(
        name=gpu.name,
        title=gpu.title,
        instructions=(*_at_rates(gpu), *_by_sequences(gpu), *_at_peaks(gpu, clock)),
        issue_width_uops=processors * _ISSUES_PER_MULTIPROCESSOR if processors else None,
        clock_hz=clock,
        clock=f"the {kind} clock of {gpu.title}" if clock else "",
        memory_bandwidth_bytes_per_s=gpu.memory_bandwidth_bytes_per_s,
        file=gpu.file,
        sources=tuple(source.title for source in gpu.sources.values()),
        caveats=gpu.caveats,
        part_bandwidth_bytes_per_s=gpu.memory_bandwidth_bytes_per_s,
        device_class="gpu",
        efficiencies=cited(gpu),
        multiprocessors=processors,
        l2_bandwidth_bytes_per_s=gpu.l2_bandwidth_bytes_per_s,
        memory_bytes=gpu.memory_bytes,
    )


def _at_rates(gpu: Gpu) -> Iterator[Instruction]:
    if gpu.streaming_multiprocessors is None:
        return
    rates = {rate.op: rate for rate in gpu.rates}
    for name, (ops, elements) in _AT_RATE.items():
        rate = rates.get(name) or rates.get(_STANDS_FOR.get(name, ""))
        if rate is None:
            continue
        # Rates of halves and bytes count results and instructions of a lane: a half2 is two results.
        results = WARP_LANES * (2 if name == "fp16_fma" else 1)
        cycles = results / (rate.results_per_clock_per_sm * gpu.streaming_multiprocessors)
        for op in ops:
            yield _instruction(op, WARP_LANES * elements, cycles, rate.source)


def _by_sequences(gpu: Gpu) -> Iterator[Instruction]:
    if gpu.streaming_multiprocessors is None:
        return
    issued = gpu.streaming_multiprocessors * _ISSUES_PER_MULTIPROCESSOR
    for sequence in gpu.sequences:
        op = BY_SEQUENCE.get(sequence.kernel)
        if op is not None:
            row = _instruction(
                op, WARP_LANES * sequence.elements, sequence.instructions / issued, sequence.source
            )
            yield replace(
                row, uops=sequence.instructions, text=f"{sequence.instructions} instructions of a warp"
            )


def _at_peaks(gpu: Gpu, clock_hz: float | None) -> Iterator[Instruction]:
    if clock_hz is None:
        return
    for peak in gpu.peaks:
        op = MATRIX_PEAKS.get(peak.op)
        if op is not None:
            row = _instruction(op, _MATRIX_LANES, 1, peak.source)
            # A peak counts a multiply-add as two operations.
            cycles = row.sites / (peak.ops_per_s / 2 / clock_hz)
            yield _instruction(op, _MATRIX_LANES, cycles, peak.source)


def _instruction(op: str, lanes: int, cycles: float, source: str) -> Instruction:
    return Instruction(
        op=op,
        form=Form.VECTOR,
        vector_bits=_WARP_BITS,
        lanes=lanes,
        text=f"{op} of a warp",
        latency_cycles=None,
        latency_low_cycles=None,
        latency_high_cycles=None,
        reciprocal_throughput_cycles=cycles,
        reciprocal_throughput_low_cycles=None,
        reciprocal_throughput_high_cycles=None,
        uops=1,
        ports="",
        quality=Quality.SPECIFICATION,
        source=source,
    )
