"""The efficiency of networks on each class of devices: three numbers, used where a device has none of its
own.

The numbers are the share of the arithmetic throughput that networks reach, the share of the memory bandwidth,
and the seconds that a call takes (see `effective_rates`).

Desktop: fitted to timm's published times of 60 networks on an i7-12700H (14 cores, fp32, batch 1, compiled),
and rounded. The fit gave 0.38 of the throughput at the boost clock, 0.68 of the bandwidth and 23 µs. They
were tested on an i9-10940X, whose own fit gave 0.63, 0.70 and 29 µs.

GPU: between an RTX 4090 and an RTX 3090 (fp16, eager). These reached 0.8 and 1.35 of the throughput at the
boost clock, and 1.1 and 0.77 of the bandwidth. Shares above 1 are possible because kernels overlap and clocks
exceed the data sheet's.

Server: the desktop's numbers with longer calls. 50 networks on two cores of an AMD EPYC (Zen 4, fp32, eager)
took 0.71 times as long as predicted in the median, and nine of ten were within a factor of 1.65
(`reports/amd-zen4-2-threads`).

Board, phone, microcontroller: assumptions, since no network was measured on one. Their spread is an
assumption as well: twice that of the server in its logarithm.
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
"""The numbers of each class. A call takes longer on more cores, since they are started and waited for."""


def class_default(device_class: str) -> Efficiency:
    return CLASS_DEFAULTS[device_class]
