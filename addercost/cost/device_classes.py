"""What runs reach on a class of devices: three numbers, which stand in where a part has none of its own.

The desktop's were read off 60 networks on an i7-12700H (14 cores, fp32, batch 1, compiled; 0.38 of its
throughput at the boost clock, 0.68 of its bandwidth, 23 µs), in timm's published results, and rounded. An
i9-10940X, whose networks tested them, reached 0.63, 0.70 and 29 µs. Two GPUs, an RTX 4090 and an RTX 3090
(fp16, eager), reached 0.8 and 1.35 of the throughput at their boost clock, 1.1 and 0.77 of the bandwidth:
parts overlap there, and clocks exceed the data sheet's. The server's are the desktop's with longer calls;
50 networks on two cores of an AMD EPYC (Zen 4, fp32, eager) took 0.71 of what they say in the median, and
nine of ten were within a factor of 1.65 (`reports/amd-zen4-2-threads`). No network was measured on a board, a
phone or a microcontroller: theirs are assumptions, and so is their spread, twice that of the server in its
logarithm.
"""

from __future__ import annotations

from addercost.hardware.schema.efficiency import Efficiency
from addercost.hardware.vocabulary import Quality


def _measured(arithmetic: float, bandwidth: float, call_s: float, spread: float, source: str) -> Efficiency:
    return Efficiency("any", arithmetic, bandwidth, call_s, source, Quality.PUBLISHED, spread)


def _assumed(arithmetic: float, bandwidth: float, call_s: float, devices: str) -> Efficiency:
    source = f"an assumption for {devices}, on which no network was measured"
    return Efficiency("any", arithmetic, bandwidth, call_s, source, Quality.MODEL, 3.0)


CLASS_DEFAULTS = {
    "desktop": _measured(0.5, 0.7, 25e-6, 1.5, "the default of desktops, read off an i7-12700H"),
    "server": _measured(0.5, 0.7, 40e-6, 1.7, "the default of servers, checked on two cores of an AMD EPYC"),
    "board": _assumed(0.4, 0.6, 20e-6, "single-board computers"),
    "phone": _assumed(0.4, 0.6, 20e-6, "phones"),
    "microcontroller": _assumed(0.4, 0.8, 10e-6, "microcontrollers"),
    "gpu": _measured(1.0, 0.8, 20e-6, 1.5, "the default of GPUs, between an RTX 4090 and an RTX 3090"),
}
"""By class of device. More cores take longer to start and to wait for; one core waits for none."""


def class_default(device_class: str) -> Efficiency:
    return CLASS_DEFAULTS[device_class]
