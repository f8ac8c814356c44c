"""Writes a calibration as a hardware table in the schema of the built-in tables."""

from __future__ import annotations

import json

from addercost.measure.host.calibrate import Calibration, LoopResult
from addercost.measure.host.sampling import Sampled

_COLUMNS = (
    "op", "form", "vector_bits", "lanes", "latency_cycles", "latency_low_cycles", "latency_high_cycles",
    "reciprocal_throughput_cycles", "reciprocal_throughput_low_cycles", "reciprocal_throughput_high_cycles",
    "ports", "instruction",
)  # fmt: skip


def calibration_toml(calibration: Calibration, date: str) -> str:
    """The table's text. Its figures are medians and its ranges quartiles, each with three decimals."""
    c = calibration
    widest = max(result.probe.bits for result in c.results)
    lines = [_COLUMNS]
    for result in c.results:
        p = result.probe
        cells = (p.op, p.form.value, str(p.bits), str(p.lanes))
        figures = (*_cells(result.latency_cycles), *_cells(result.reciprocal_throughput_cycles))
        lines.append((*cells, *figures, result.ports or "-", p.text))
    widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
    table = "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )
    caches = {"L1": "l1d_bytes_per_core", "L2": "l2_bytes_per_core", "L3": "last_level_cache_bytes"}
    part = [f"{key} = {c.cache_bytes[level]}" for level, key in caches.items() if level in c.cache_bytes]
    for found in c.bandwidths:
        key = f"{found.level.lower()}_bandwidth_bytes_per_s"
        # The best sample, since other programs only lower the rate.
        part.append(f"core_{key} = {round(max(found.alone_bytes_per_s.samples))}")
        part.append(f"{key} = {round(max(found.together_bytes_per_s.samples))}")
    calls = [f"operator_call_s = {c.operator_call_s.median:.3g}"]
    if c.thread_wake_up_s is not None:
        calls.append(f"thread_wake_up_s = {c.thread_wake_up_s.median:.3g}")
    loops = "".join(f"    {_loop(result)},\n" for result in c.loops)
    part_lines, call_lines = "\n".join(part), "\n".join(calls)
    title = (
        f"addercost calibrate on {c.model} ({c.core}), {date}: medians, ranges are quartiles, bandwidths the "
        f"best; a fixed reference took {c.factor:.2f} times as long as at the machine's best known speed"
    )
    return f"""\
schema = 1
kind = "cpu"
title = {json.dumps(f"{c.model} ({c.core}), measured")}
vendor = {json.dumps(_vendor(c.model))}
isa = "{c.isa}"
max_vector_bits = {widest}
caveats = [
    "the issue width is unknown",
    "ports are units that mixes of two instructions show to be shared or not; their names are made up",
]
loops = [
{loops}]

[part]
name = {json.dumps(c.model)}
base_clock_hz = {round(c.clock_hz.median)}
cores = {c.threads}
{part_lines}
source = "calibration"
quality = "measured"

[calls]
{call_lines}
source = "calibration"
quality = "measured"

[sources.calibration]
title = {json.dumps(title)}
licence = "CC0-1.0"

[[instructions]]
source = "calibration"
quality = "measured"
table = '''
{table}'''
"""


def _loop(result: LoopResult) -> str:
    """A loop as an inline table, on one line, since TOML allows no line breaks in these."""
    loop = result.loop
    median, low, high = _cells(result.cycles)
    fields = {
        "arithmetic": f'"{loop.arithmetic}"',
        "number_format": f'"{loop.number_format}"',
        "vector_bits": f"{loop.bits}",
        "sites": f"{loop.sites}",
        "cycles": median,
        "cycles_low": low,
        "cycles_high": high,
        "text": json.dumps(loop.text),
        "quality": '"measured"',
        "source": '"calibration"',
    }
    return "{ " + ", ".join(f"{name} = {value}" for name, value in fields.items()) + " }"


def _cells(figure: Sampled) -> tuple[str, str, str]:
    """The cells with the median and the quartiles, rounded so that the median stays between the quartiles."""
    low, high = figure.quartiles
    median = round(figure.median, 3)
    return (f"{median:g}", f"{min(round(low, 3), median):g}", f"{max(round(high, 3), median):g}")


def _vendor(model: str) -> str:
    return next(
        (vendor for vendor in ("AMD", "Intel", "Apple", "Ampere", "Arm") if vendor in model), "unknown"
    )
