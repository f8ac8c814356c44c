"""Times of kernels and networks that follow a known law, as a calibration would have found them."""

import torch

from addercost.cost.calibrated.features import sizes_of
from addercost.hardware.kernel_times import Conditions, KernelSample, KernelTimes, NetworkSample
from addercost.measure.kernel_times.draw import SHARES, Drawing, draw

PROCESSOR = "Some Core 6-1-2"


def law_s(call):
    """What each kernel takes here: 5 µs, and 20 ps a site and 100 ps a byte."""
    sizes = sizes_of(call)
    return 5e-6 + 2e-11 * sizes.sites + 1e-10 * sizes.bytes


def network_s(calls):
    """2 µs a call beside the kernels."""
    return sum(law_s(call) + 2e-6 for call in calls)


def made_times(n=400, processor=PROCESSOR, kernels=()):
    """kernels: others beside the n of a drawing. Warm kernels take half as long."""
    calls = list(dict.fromkeys([*draw(n, 1, Drawing("float32", SHARES)), *kernels]))
    samples = [KernelSample(call, (law_s(call) / 2,), (law_s(call),), (law_s(call),)) for call in calls]
    networks = [
        NetworkSample(f"network {i}", part, (network_s(part),))
        for i, part in enumerate(tuple(calls[i::8]) for i in range(8))
    ]
    conditions = Conditions(processor, 1, "float32", torch.__version__)
    return KernelTimes(conditions, tuple(samples), tuple(networks))
