"""Timings that are faster than the limit a hardware table gives: faults of the table, by definition.

`throughput` is a bound that no kernel beats. Where one does, the table lacks a unit or a way to use it. Only
one thing is taken off the bound: sites count the taps on a zero padding, and a kernel may skip products with
these zeros. An adder's |0 - w| is no zero.
"""

from __future__ import annotations

from dataclasses import replace

from addercost.arithmetic import Arithmetic
from addercost.measure.case import LayerCase, read_case
from addercost.results.measurements import MeasuredRow

LIMIT_MODEL = "throughput"

TOLERANCE = 0.03
"""A timing may beat the limit by so much: clocks and intervals of medians are no better known."""

_SAYS = f"faster than {LIMIT_MODEL} says, a fault of the table "
_SKIPS_ZEROS = (Arithmetic.MAC, Arithmetic.SHIFT)


def faults(row: MeasuredRow) -> dict[str, float]:
    """For every table whose limit the row beats: how many times as fast as the limit it is."""
    needed = 1.0
    if row.case and row.arithmetic in _SKIPS_ZEROS:
        needed = inside_share(read_case(row.case))
    limits = {p.hardware: p.seconds * needed for p in row.predicted if p.model == LIMIT_MODEL}
    times = {table: seconds / row.median_s for table, seconds in limits.items()}
    return {table: ratio for table, ratio in times.items() if ratio > 1 + TOLERANCE}


def with_faults(row: MeasuredRow) -> MeasuredRow:
    """The row with a warning for each fault that its timing and estimates show, and for no other."""
    kept = tuple(warning for warning in row.warnings if not warning.startswith(_SAYS))
    found = tuple(f"{_SAYS}{table} ({ratio:.2f} times as fast)" for table, ratio in faults(row).items())
    return replace(row, warnings=kept + found)


def inside_share(case: LayerCase) -> float:
    """Of the taps of all outputs, the share that reads the image and not its padding."""
    share = 1.0
    for axis in range(2):
        size, taps, outputs = case.size[axis], case.filter_size[axis], case.output_size[axis]
        stride, padding, dilation = case.stride[axis], case.padding[axis], case.dilation[axis]
        inside = sum(
            # Outputs p with 0 <= p·stride + tap·dilation - padding < size.
            max(
                0,
                min(outputs - 1, (size - 1 + padding - tap * dilation) // stride)
                - max(0, -((tap * dilation - padding) // stride))
                + 1,
            )
            for tap in range(taps)
        )
        share *= inside / (taps * outputs)
    return share
