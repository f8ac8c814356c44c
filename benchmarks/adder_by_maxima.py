"""How fast and how exact fp32 adder layers are by maxima, beside those by differences.

    python -m benchmarks.adder_by_maxima [--save]

Σ|x - w| = 2 Σ max(x, w) - Σ x - Σ w. The left side takes three instructions a site: a subtraction, a mask
that clears the sign, and an addition. The right side takes two, because the sums of inputs and of weights are
the same for all filters and for all pixels (`kernels/cpu/dense/maxima.py`).

Expected: where the three instructions share the ports of two additions (Intel with 512-bit vectors), the sums
take 2/3 of the time. On AMD's Zen 3 and 4 maxima and differences start on the two pipes for additions, masks
on all four, and multiply-adds on the other two. Three instructions take 3/4 of a cycle there and two take
half of one, so it is 2/3 as well.

Rates are in G sites/s on one thread, the best of all rounds, as in `benchmarks.kernels`. Both forms have the
schedule that is used on this machine, but for this choice. An error is the largest of all outputs, relative
to the exact sum, which is computed in fp64. `condition` is the largest (Σ|x| + Σ|w|) / Σ|x - w|: the right
side may lose so many times as much precision, and above `WORST_CONDITION` a layer is computed by differences.

With --save the table is written to benchmarks/results/<processor>/adder-by-maxima.txt.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.hardware.this_machine import processor_id
from addercost.kernels.cpu.dense import convolution as dense
from addercost.kernels.cpu.dense.rule import default_schedule
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.tuned import schedules_folder, tuned_schedules
from addercost.kernels.problem import Geometry
from addercost.measure.host.loop_rate import loop_sites_per_second
from addercost.results.files import write_file
from benchmarks.kernel_layers import RESNET, Layer

RESULTS = Path(__file__).with_name("results")
ROUNDS = 5
SERIES_S = 0.02
LAYOUTS = {"nhwc": torch.channels_last, "nchw": torch.contiguous_format}


def schedules(x: Tensor, w: Tensor, geometry: Geometry) -> tuple[Schedule, Schedule]:
    """The schedule of this layer by differences, and by maxima."""
    request, tuned = dense.request_of("adder", x, w, geometry), tuned_schedules()
    used = (tuned and tuned.of(request)) or default_schedule(request)
    return replace(used, by_maxima=False), replace(used, by_maxima=True)


def rates(layer: Layer, layout: torch.memory_format) -> dict[str, float]:
    """G sites/s of each contender, in turns."""
    x = torch.randn(layer.input_shape).contiguous(memory_format=layout)
    w = torch.randn(layer.weight_shape)
    own = w.contiguous(memory_format=layout)
    geometry = layer.geometry
    differences, maxima = schedules(x, w, geometry)
    contenders: dict[str, Callable[[], Tensor]] = {
        "differences": lambda: dense.convolve("adder", x, w, geometry, differences),
        "maxima": lambda: dense.convolve("adder", x, w, geometry, maxima),
        "mac": lambda: dense.convolve("mac", x, w, geometry),
        "torch conv2d": lambda: F.conv2d(x, own, stride=geometry.stride, padding=geometry.padding),
    }
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            run()
            end = time.perf_counter() + SERIES_S
            while True:
                start = time.process_time()
                run()
                best[name] = min(best[name], time.process_time() - start)
                if time.perf_counter() > end:
                    break
    return {name: layer.sites / seconds / 1e9 for name, seconds in best.items()}


def operands() -> dict[str, tuple[Tensor, Tensor]]:
    """Inputs and weights whose differences are large, and small, beside their values."""
    x, w = torch.randn(1, 256, 14, 14), torch.randn(64, 256, 3, 3)
    return {
        "normal": (x, w),
        "after a ReLU": (x.relu(), w),
        "positive, small weights": (x.abs(), w / 16),
        "around 3": (x + 3, w + 3),
        "around 1,000": (x + 1000, w + 1000),
    }


def errors(x: Tensor, w: Tensor) -> tuple[float, float, float]:
    """The largest relative error by differences and by maxima, and the condition."""
    patches = F.unfold(x, w.shape[2:])[0].T.double()
    exact = torch.cdist(patches, w.flatten(1).double(), p=1)
    magnitudes = patches.abs().sum(1)[:, None] + w.flatten(1).double().abs().sum(1)
    found = []
    for schedule in schedules(x, w, Geometry()):
        sums = -dense.convolve("adder", x, w, Geometry(), schedule)[0].flatten(1).T.double()
        found.append(((sums - exact).abs() / exact).max().item())
    return found[0], found[1], (magnitudes / exact).max().item()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--save", action="store_true")
    save = arguments.parse_args().save
    torch.manual_seed(0)
    torch.set_num_threads(1)
    loops = {name: loop_sites_per_second(name) / 1e9 for name in ("two_additions", "adder_by_maxima", "mac")}
    lines = [
        f"{processor_id()}, torch {torch.__version__}, one thread",
        "bare loops, G sites/s: " + ", ".join(f"{name} {rate:.1f}" for name, rate in loops.items()),
        "",
        f"{'':32}{'differences':>12}{'maxima':>8}{'mac':>8}{'torch':>8}{'maxima / differences':>22}",
    ]
    gains = []
    for where, layout in LAYOUTS.items():
        for layer in RESNET:
            found = rates(layer, layout)
            gains.append(found["maxima"] / found["differences"])
            first, *others = found.values()
            columns = f"{first:12.1f}" + "".join(f"{rate:8.1f}" for rate in others)
            lines.append(f"{f'{layer.name} ({where})':32}{columns}{gains[-1]:22.2f}")
            print(lines[-1], flush=True)
    gains.sort()
    lines += [
        "maxima / differences: "
        f"median {gains[len(gains) // 2]:.2f}, least {gains[0]:.2f}, most {gains[-1]:.2f}",
        "",
        f"{'largest relative error':32}{'differences':>12}{'maxima':>10}{'condition':>12}",
    ]
    for name, (x, w) in operands().items():
        direct, by_maxima, condition = errors(x, w)
        lines.append(f"{name:32}{direct:12.1e}{by_maxima:10.1e}{condition:12.1f}")
    text = "\n".join(lines) + "\n"
    print(text)
    if save:
        write_file(RESULTS / schedules_folder().name / "adder-by-maxima.txt", text, force=True)


if __name__ == "__main__":
    main()
