"""Findings about the GPUs: whether torch can use them, their tables, and their counters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from addercost.measure.devices.nvml import CountersError, Nvml
from addercost.measure.doctor.finding import FindingState, MachineFinding, in_words
from addercost.measure.doctor.packages import importable_torch

DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/dev/kfd"))
"""One of these exists where there is a driver, NVIDIA's or AMD's."""


def gpus() -> Iterator[MachineFinding]:
    """Findings about every GPU that torch finds, or the reason why it finds none."""
    part, torch = "GPU", importable_torch()
    if torch is None:
        return
    from addercost.measure.devices.cuda_availability import first_operation, why_no_gpu

    cuda = torch.cuda
    if not cuda.is_available():
        why = why_no_gpu(cuda)
        if any(driver.exists() for driver in DRIVERS):
            found = f"there is a driver, but {why}"
            mend = "update the driver, or install the torch build made for it (pytorch.org, Get started)"
            yield MachineFinding(part, "device", FindingState.BROKEN, found, mend, True)
        else:
            yield MachineFinding(part, "device", FindingState.NOTE, f"none found: {why}")
        return
    for index in range(cuda.device_count()):
        properties = cuda.get_device_properties(index)
        name = cuda.get_device_name(index)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        what = f"compute capability {properties.major}.{properties.minor}, {memory}"
        try:
            first_operation(cuda, torch.device("cuda", index))
        except RuntimeError as error:
            found = f"{what}: {in_words(error)}"
            mend = "install a torch build for this GPU (pytorch.org, Get started)"
            yield MachineFinding(part, name, FindingState.BROKEN, found, mend, True)
            continue
        yield MachineFinding(part, name, FindingState.OK, what)
        table = gpu_table(name)
        state = FindingState.OK if table else FindingState.NOTE
        yield MachineFinding(part, "built-in table", state, table or "none of this name")
        yield from counters(part, properties)


def counters(part: str, properties: Any) -> Iterator[MachineFinding]:
    """Whether a GPU's clock and energy can be read. properties: torch's properties of the GPU, of which
    `uuid` is used.
    """
    try:
        nvml = Nvml(str(properties.uuid))
    except (CountersError, AttributeError) as error:
        found = f"none ({in_words(error)}): no clocks, no energy beside timings"
        mend = error.hint if isinstance(error, CountersError) else ""
        yield MachineFinding(part, "counters", FindingState.NOTE, found, mend)
        return
    yield MachineFinding(part, "driver", FindingState.OK, nvml.driver() or "of unknown version")
    clock, most = nvml.clock_hz(), nvml.most_clock_hz()
    if clock and most:
        yield MachineFinding(part, "clock", FindingState.OK, f"{clock / 1e6:.0f} of {most / 1e6:.0f} MHz now")
    reasons = nvml.throttle_reasons()
    if reasons:
        yield MachineFinding(part, "limited by", FindingState.NOTE, ", ".join(reasons))
    if nvml.energy_j() is not None:
        yield MachineFinding(part, "energy", FindingState.OK, "counted in steps of 1 mJ")
    else:
        yield MachineFinding(part, "energy", FindingState.NOTE, "no counter on this GPU")


def gpu_table(name: str) -> str:
    """The name of the built-in table that shares most words with a GPU's name. The word of the model must be
    among them; "" where there is no such table.
    """
    from addercost.hardware.loader import list_hardware

    words = set(re.findall(r"[a-z0-9]+", name.lower()))
    best, score = "", 0
    for file in list_hardware(kind="gpu"):
        parts = file.name.split("-")
        shared = len(words & set(parts))
        model = next((p for p in parts if any(c.isdigit() for c in p)), parts[0])
        if model in words and shared > score:
            best, score = file.name, shared
    return best
