"""The figures of a hardware table as rows: instructions of a processor, rates of a GPU, energies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from addercost.hardware import Accelerator, Cpu, Device, EnergyTable, Gpu, Hardware
from addercost.hardware.schema.device import DEVICE_FIGURES


def figure_rows(hardware: Hardware) -> Iterator[Mapping[str, Any]]:
    """A row for each figure, with its unit, quality and source."""
    if isinstance(hardware, Cpu):
        for row in hardware.instructions:
            yield {
                "op": row.op,
                "form": row.form.value,
                "vector_bits": row.vector_bits,
                "lanes": row.lanes,
                "latency_cycles": row.latency_cycles,
                "latency_low_cycles": row.latency_low_cycles,
                "latency_high_cycles": row.latency_high_cycles,
                "reciprocal_throughput_cycles": row.reciprocal_throughput_cycles,
                "ports": row.ports,
                "quality": row.quality.value,
                "source": row.source,
                "instruction": row.text,
            }
        for loop in hardware.loops:
            yield {
                "op": f"{loop.arithmetic} loop, {loop.number_format}",
                "form": loop.step.form.value,
                "vector_bits": loop.vector_bits,
                "lanes": loop.sites,
                "latency_cycles": None,
                "latency_low_cycles": None,
                "latency_high_cycles": None,
                "reciprocal_throughput_cycles": loop.cycles,
                "ports": "",
                "quality": loop.quality.value,
                "source": loop.source,
                "instruction": loop.text,
            }
    elif isinstance(hardware, Device):
        yield from _device_figures(hardware)
    elif isinstance(hardware, Gpu):
        yield from _gpu_figures(hardware)
    elif isinstance(hardware, Accelerator):
        yield from _accelerator_figures(hardware)
    else:
        yield from _energy_figures(hardware)


def _device_figures(device: Device) -> Iterator[Mapping[str, Any]]:
    units = {"hz": ("GHz", 1e9), "s": ("GB/s", 1e9), "bytes": ("KiB", 1024)}
    for name, value in device.figures.items():
        unit, one = units.get(name.rpartition("_")[2], ("", 1))
        yield {
            "figure": DEVICE_FIGURES[name],
            "value": value / one,
            "unit": unit,
            "quality": "unconfirmed" if name in device.unconfirmed else "published",
            "source": device.memory_source if name == "memory_bytes" else device.source,
        }


def _gpu_figures(gpu: Gpu) -> Iterator[Mapping[str, Any]]:
    def figure(name: str, value: float | None, unit: str, source: str) -> dict[str, Any]:
        return {"figure": name, "value": value, "unit": unit, "quality": "published", "source": source}

    yield figure("memory bandwidth", gpu.memory_bandwidth_bytes_per_s, "B/s", gpu.memory_bandwidth_source)
    if gpu.memory_bytes is not None:
        yield figure("memory", gpu.memory_bytes, "B", gpu.memory_source)
    if gpu.l2_bandwidth_bytes_per_s is not None:
        l2 = figure("L2 bandwidth", gpu.l2_bandwidth_bytes_per_s, "B/s", gpu.l2_bandwidth_source)
        yield l2 | {"quality": "measured"}
    for name, value, unit in (
        ("streaming multiprocessors", gpu.streaming_multiprocessors, ""),
        ("shading units", gpu.shading_units, ""),
        ("boost clock", gpu.boost_clock_hz, "Hz"),
        ("second-level cache", gpu.l2_bytes, "B"),
    ):
        if value is not None:
            yield figure(name, value, unit, gpu.source)
    for peak in gpu.peaks:
        yield figure(f"peak {peak.op}", peak.ops_per_s, "op/s", peak.source)
    for rate in gpu.rates:
        yield figure(f"{rate.op} rate", rate.results_per_clock_per_sm, "results/clock/SM", rate.source)
    for latency in gpu.latencies:
        yield figure(f"{latency.op} latency", latency.latency_cycles, "cycles", latency.source)
    for s in gpu.sequences:
        yield figure(f"{s.kernel}: {s.text}", s.instructions / s.elements, "instructions/element", s.source)


def _accelerator_figures(table: Accelerator) -> Iterator[Mapping[str, Any]]:
    for name, figure in table.figures.items():
        if figure.value is None:
            continue
        bytes_in = ("MiB", 1024**2) if figure.value >= 1024**2 else ("KiB", 1024)
        unit, one = {"Hz": ("MHz", 1e6), "B": bytes_in}.get(figure.unit, (figure.unit, 1))
        row: dict[str, Any] = {"figure": figure.words, "value": figure.value / one, "unit": unit}
        if name in table.assumed:
            yield row | {"quality": "assumed"}
        else:
            quality = "unconfirmed" if name in table.unconfirmed else "published"
            yield row | {"quality": quality, "source": table.source}
    for memory in table.memories:
        yield {
            "figure": f"energy of {memory.memory} ({', '.join(memory.operands)})",
            "value": memory.energy_pj_per_byte,
            "unit": "pJ/B",
            "quality": memory.quality.value,
            "source": memory.source,
        }


def _energy_figures(table: EnergyTable) -> Iterator[Mapping[str, Any]]:
    for op in table.operations:
        period = f", {op.clock_period_ns:g} ns" if op.clock_period_ns else ""
        name = f"{op.op} {op.number_format}{period}"
        common = {"quality": op.quality.value, "source": op.source}
        if op.energy_pj is not None:
            yield {"figure": name, "value": op.energy_pj, "unit": "pJ"} | common
        if op.area_um2 is not None:
            yield {"figure": name, "value": op.area_um2, "unit": "µm²"} | common
    for fit in table.fits:
        for power, coefficient in enumerate(fit.coefficients_pj):
            if coefficient:
                yield {
                    "figure": f"{fit.op} intN, factor of N^{power}",
                    "value": coefficient,
                    "unit": "pJ",
                    "quality": fit.quality.value,
                    "source": fit.source,
                }
    for memory in table.memories:
        high = memory.energy_high_pj if memory.energy_high_pj != memory.energy_low_pj else None
        yield {
            "figure": f"{memory.memory} access",
            "value": memory.energy_low_pj,
            "high": high,
            "unit": f"pJ per {memory.access_bits} bits" if memory.access_bits > 1 else "pJ per bit",
            "quality": memory.quality.value,
            "source": memory.source,
        }
    for claim in table.relative:
        yield {
            "figure": f"{claim.claim}: {claim.quantity} saved",
            "value": 100 * claim.saving_low_fraction,
            "high": 100 * claim.saving_high_fraction,
            "unit": "%",
            "quality": "published",
            "source": claim.source,
        }
