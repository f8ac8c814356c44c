"""A calibration as a hardware table in the schema of the built-in ones."""

from __future__ import annotations

import json

from addercost.measure.host.calibrate import Calibration, Sampled

_COLUMNS = (
    "op", "form", "vector_bits", "lanes", "latency_cycles", "latency_low_cycles", "latency_high_cycles",
    "reciprocal_throughput_cycles", "reciprocal_throughput_low_cycles", "reciprocal_throughput_high_cycles",
    "instruction",
)  # fmt: skip


def calibration_toml(calibration: Calibration, date: str) -> str:
    """The table's text: medians are its figures, quartiles their ranges, each with three decimals."""
    c = calibration
    widest = max(result.probe.bits for result in c.results)
    lines = [_COLUMNS]
    for result in c.results:
        p = result.probe
        cells = (p.op, p.form.value, str(p.bits), str(p.lanes))
        figures = (*_cells(result.latency_cycles), *_cells(result.reciprocal_throughput_cycles))
        lines.append((*cells, *figures, p.text))
    widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
    table = "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )
    caches = {"L1": "l1d_bytes_per_core", "L2": "l2_bytes_per_core", "L3": "last_level_cache_bytes"}
    sizes = "".join(
        f"{key} = {c.cache_bytes[level]}\n" for level, key in caches.items() if level in c.cache_bytes
    )
    return f"""\
schema = 1
kind = "cpu"
title = {json.dumps(f"{c.model} ({c.core}), measured")}
vendor = {json.dumps(_vendor(c.model))}
isa = "{c.isa}"
max_vector_bits = {widest}
caveats = ["ports and issue width cannot be measured this way and are unknown"]

[part]
name = {json.dumps(c.model)}
base_clock_hz = {round(c.clock_hz.median)}
cores = {c.threads}
{sizes}core_memory_bandwidth_bytes_per_s = {round(c.core_bandwidth_bytes_per_s.median)}
memory_bandwidth_bytes_per_s = {round(c.bandwidth_bytes_per_s.median)}
source = "calibration"
quality = "measured"

[sources.calibration]
title = {json.dumps(f"addercost calibrate on {c.model} ({c.core}), {date}: medians, ranges are quartiles")}
licence = "CC0-1.0"

[[instructions]]
source = "calibration"
quality = "measured"
table = '''
{table}'''
"""


def _cells(figure: Sampled) -> tuple[str, str, str]:
    """Median and quartiles, rounded so that the median stays within its range."""
    low, high = figure.quartiles
    median = round(figure.median, 3)
    return (f"{median:g}", f"{min(round(low, 3), median):g}", f"{max(round(high, 3), median):g}")


def _vendor(model: str) -> str:
    return next((vendor for vendor in ("AMD", "Intel") if vendor in model), "unknown")
