"""Times of kernels and networks that follow a known law, as a calibration would have found them."""

from dataclasses import replace

import torch

from addercost.cost.calibrated.features import features, sizes_of
from addercost.cost.calibrated.fit import Calibrated, sampled_sites
from addercost.cost.calibrated.network_law import NetworkLaw, half_far_bytes
from addercost.cost.target_registry import load_target
from addercost.hardware.kernel_times import Conditions, KernelSample, KernelTimes, NetworkSample, to_json
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


class ByLaw:
    """A model by which a kernel takes some times as long as `law_s` says."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def seconds(self, work, rows):
        return self.factor * (work @ [5e-6, 2e-11, 0, 0, 1e-10, 1e-10])


def fit_by_law(times):
    """In place of `fit`, which takes a second: the law itself, as many times as the first kernel took it near
    and far. A kernel's interval is a fifth, a network's a tenth."""
    first = times.samples[0]
    near, far = (ByLaw(seconds[0] / law_s(first.call)) for seconds in (first.near_s, first.far_s))
    rows, work = features([sample.call for sample in times.samples])
    law = NetworkLaw(far_share=0.5, linear_factor=1.0, byte_s=0.0, call_s=2e-6 * near.factor)
    return Calibrated(near, far, law, {-1: 1.2}, 1.1, sampled_sites(work, rows), half_far_bytes(0))


def target_by_law(folder, kernels=()):
    """A processor whose kernels were timed by the law; their document is written into the folder. kernels:
    others that were timed beside those of a drawing.
    """
    path = folder / "kernels-1-float32-eager.json"
    path.write_text(to_json(made_times(kernels=kernels)))
    return replace(load_target("amd-zen4"), processor=PROCESSOR, kernel_files=(path,))
