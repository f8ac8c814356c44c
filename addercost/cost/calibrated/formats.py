"""The formats whose kernels a file of timed kernels predicts.

A file of `calibrate --kernels --dtype int8` has two kinds of kernels: 8-bit layers alone, and what torch's
statically quantised networks run. Each kind has a fit of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from addercost.cost.calibrated.codes import CODES, is_of_codes
from addercost.counts.kernel_calls import KernelCall
from addercost.hardware.kernel_times import KernelTimes

BYTES = "int8"


def by_format(times: KernelTimes) -> Mapping[str, KernelTimes]:
    """The kernels and networks of each format in a file, by torch's name of the format."""
    if times.conditions.dtype != BYTES:
        return {times.conditions.dtype: times}
    return {name: _part(times, name) for name in (BYTES, CODES)}


def _part(times: KernelTimes, name: str) -> KernelTimes:
    wanted = name == CODES
    return replace(
        times,
        conditions=replace(times.conditions, dtype=name),
        samples=tuple(sample for sample in times.samples if in_quantised_network(sample.call) == wanted),
        networks=tuple(made for made in times.networks if _any_of_codes(made.calls) == wanted),
    )


def in_quantised_network(call: KernelCall) -> bool:
    """Whether a kernel that was timed in 8 bits is of a statically quantised network. Some kernels of these
    are in floating point, but none is on plain bytes.
    """
    return is_of_codes(call) or not any(operand.dtype == BYTES for operand in call.operands())


def _any_of_codes(calls: Iterable[KernelCall]) -> bool:
    return any(map(is_of_codes, calls))
