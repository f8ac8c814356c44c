"""Rates of processors from other sources than their tables (measurements, vendors), in `peaks.toml`. Tables
are checked against them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from addercost.hardware.vocabulary import SCHEMA_VERSION
from addercost.reading import Positive, Text, read_as, toml_data

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, slots=True)
class Peaks:
    """The known figures of one core; None for those that the source does not give.

    `…_per_cycle`: multiply-adds, additions, absolute differences or bytes a cycle, on vectors; names with
    `matrix` are for the matrix unit. `…_latency_cycles`: the latency of the instruction on scalar registers.
    `…_div_W_cycles`: cycles for each division instruction on registers of W bits, or on scalar registers.
    """

    source: Text
    fp32_mac_per_cycle: Positive | None = None
    fp32_add_per_cycle: Positive | None = None
    fp64_mac_per_cycle: Positive | None = None
    fp16_mac_per_cycle: Positive | None = None
    bf16_mac_per_cycle: Positive | None = None
    bf16_matrix_mac_per_cycle: Positive | None = None
    int8_mac_per_cycle: Positive | None = None
    int8_matrix_mac_per_cycle: Positive | None = None
    int8_maddubs_per_cycle: Positive | None = None
    uint8_absdiff_per_cycle: Positive | None = None
    fp32_add_latency_cycles: Positive | None = None
    fp32_mul_latency_cycles: Positive | None = None
    fp32_fma_latency_cycles: Positive | None = None
    fp32_div_scalar_cycles: Positive | None = None
    fp32_div_128_cycles: Positive | None = None
    fp32_div_256_cycles: Positive | None = None
    fp32_div_512_cycles: Positive | None = None
    fp64_div_scalar_cycles: Positive | None = None
    fp64_div_128_cycles: Positive | None = None
    fp64_div_256_cycles: Positive | None = None
    fp64_div_512_cycles: Positive | None = None
    load_bytes_per_cycle: Positive | None = None

    @property
    def figures(self) -> dict[str, float]:
        """The known figures by name."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "source"]
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class _Document:
    schema: int
    peaks: Mapping[str, Peaks]


@lru_cache(maxsize=1)
def known_peaks() -> Mapping[str, Peaks]:
    """The known figures by the name of the table. Raises DataError for a malformed file."""
    document = read_as(_Document, toml_data(FILE.read_text(encoding="utf-8"), str(FILE)), str(FILE))
    assert document.schema == SCHEMA_VERSION
    return document.peaks
