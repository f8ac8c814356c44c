"""Finds timings that are faster than the limit of a hardware table. Each shows a fault of the table.

`throughput` is a bound that no kernel should beat. Where one does, the table lacks a unit or a way to use it.
The bound is reduced for one reason only: sites count the taps on a zero padding, and a kernel may skip
products with these zeros. An adder layer cannot skip these taps, since |0 - w| is not 0.
"""

from __future__ import annotations

from dataclasses import replace

from addercost.arithmetic import Arithmetic
from addercost.measure.case import LayerCase, read_case
from addercost.results.measurements import MeasuredRow

LIMIT_MODEL = "throughput"

TOLERANCE = 0.03
"""A timing may be faster than the limit by this share, since clocks and medians are not known better."""

_SAYS = f"faster than {LIMIT_MODEL} says, a fault of the table "
_SKIPS_ZEROS = (Arithmetic.MAC, Arithmetic.SHIFT)


def faults(row: MeasuredRow) -> dict[str, float]:
    """For every table whose limit the row beats: the limit's time / the row's time."""
    needed = 1.0
    if row.case and row.arithmetic in _SKIPS_ZEROS:
        needed = inside_share(read_case(row.case))
    limits = {p.hardware: p.seconds * needed for p in row.predicted if p.model == LIMIT_MODEL}
    times = {table: seconds / row.median_s for table, seconds in limits.items()}
    return {table: ratio for table, ratio in times.items() if ratio > 1 + TOLERANCE}


def with_faults(row: MeasuredRow) -> MeasuredRow:
    """The row with one warning for each fault that its timing and estimates show. Warnings of earlier faults
    are removed.
    """
    kept = tuple(warning for warning in row.warnings if not warning.startswith(_SAYS))
    found = tuple(f"{_SAYS}{table} ({ratio:.2f} times as fast)" for table, ratio in faults(row).items())
    return replace(row, warnings=kept + found)


def inside_share(case: LayerCase) -> float:
    """The share of taps, over all outputs, that read the image and not its padding."""
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
