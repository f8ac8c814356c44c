"""How fast an fp32 adder layer would be with maxima in place of absolute differences, and how exact.

    python -m benchmarks.adder_by_maxima [--save]

Σ|x - w| = 2 Σ max(x, w) - Σ x - Σ w. The left side takes three instructions a site: a subtraction, a mask
that clears the sign, and an addition. The right side takes two, because the sums of inputs and of weights are
the same for all filters and for all pixels. No layer uses this form. This benchmark says what it would be
worth.

Expected: where the three instructions share the ports of two additions (Intel with 512-bit vectors), the sums
take 2/3 of the time. On AMD Zen 3 maxima, masks and additions start on four pipes. Three instructions take
3/4 of a cycle there and two take half of one, so it is 2/3 as well.

Rates are in G sites/s on one thread, the best of all rounds, as in `benchmarks.kernels`. `whole` adds the
sums of inputs and weights by torch, in passes of their own. An error is the largest of all outputs, relative
to the exact sum, which is computed in fp64. `condition` is the largest (Σ|x| + Σ|w|) / Σ|x - w|: the right
side may lose so many times as much precision.

With --save the table is written to benchmarks/results/<processor>/adder-by-maxima.txt.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import halide as hl
import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.arithmetic import Arithmetic
from addercost.hardware.this_machine import processor_id
from addercost.kernels.cpu.dense import convolution as dense
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.sites import SITES, Site
from addercost.kernels.cpu.dense.tuned import schedules_folder, tuned_schedules
from addercost.kernels.cpu.ir.native import host_features
from addercost.kernels.problem import Geometry
from addercost.measure.host import x86_loops
from addercost.measure.host.loop_rate import bare_loop_sites_per_second, loop_sites_per_second
from addercost.results.files import write_file
from benchmarks.kernel_layers import RESNET, Layer

RESULTS = Path(__file__).with_name("results")
ROUNDS = 5
SERIES_S = 0.02
LAYOUTS = {"nhwc": torch.channels_last, "nchw": torch.contiguous_format}
MAXIMUM = "maximum"
SITES[MAXIMUM] = Site(MAXIMUM, torch.float32, torch.float32, lambda x, w: hl.max(w, x))


def adder_by_maxima(x: Tensor, w: Tensor, geometry: Geometry, schedule: Schedule | None = None) -> Tensor:
    """-Σ|x - w| for input [N, C, H, W] and weight [K, C, R, S]."""
    window = torch.ones(1, 1, *w.shape[2:])
    inputs = F.conv2d(x.sum(1, keepdim=True), window, stride=geometry.stride, padding=geometry.padding)
    maxima = dense.convolve(MAXIMUM, x, w, geometry, schedule)
    return maxima.mul_(-2).add_(inputs).add_(w.sum((1, 2, 3))[:, None, None])


def bare_loop() -> float:
    """Sites a second of a loop of maxima and additions on the widest registers; 0.0 if it cannot run here."""
    features = host_features()
    if "avx2" not in features:
        return 0.0
    steps = "vmaxps {w}, {x}, {t}", "vaddps {t}, {s}, {s}"
    way = x86_loops._Way("maxima", Arithmetic.ADDER, "fp32", 32, steps)
    loop = x86_loops._loop(way, 512 if "avx512f" in features else 256, "avx512vl" in features)
    return bare_loop_sites_per_second(loop)


def rates(layer: Layer, layout: torch.memory_format) -> dict[str, float]:
    """G sites/s of each contender, in turns."""
    x = torch.randn(layer.input_shape).contiguous(memory_format=layout)
    w = torch.randn(layer.weight_shape)
    own = w.contiguous(memory_format=layout)
    geometry = layer.geometry
    # Both forms are computed by the adder's schedule.
    schedule = tuned_schedules().of(dense.request_of("adder", x, w, geometry))
    contenders: dict[str, Callable[[], Tensor]] = {
        "adder": lambda: dense.convolve("adder", x, w, geometry, schedule),
        "maxima": lambda: dense.convolve(MAXIMUM, x, w, geometry, schedule),
        "whole": lambda: adder_by_maxima(x, w, geometry, schedule),
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
        "around 10": (x + 10, w + 10),
        "around 1,000": (x + 1000, w + 1000),
    }


def errors(x: Tensor, w: Tensor) -> tuple[float, float, float]:
    """The largest relative error of the adder kernel, that of the form with maxima, and the condition."""
    patches = F.unfold(x, w.shape[2:])[0].T.double()
    exact = torch.cdist(patches, w.flatten(1).double(), p=1)
    magnitudes = patches.abs().sum(1)[:, None] + w.flatten(1).double().abs().sum(1)
    found = []
    for run in (lambda: dense.convolve("adder", x, w, Geometry()), lambda: adder_by_maxima(x, w, Geometry())):
        sums = -run()[0].flatten(1).T.double()
        found.append(((sums - exact).abs() / exact).max().item())
    return found[0], found[1], (magnitudes / exact).max().item()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--save", action="store_true")
    save = arguments.parse_args().save
    torch.manual_seed(0)
    torch.set_num_threads(1)
    lines = [
        f"{processor_id()}, torch {torch.__version__}, one thread",
        f"bare loops, G sites/s: adder {loop_sites_per_second('adder') / 1e9:.1f}, "
        f"maxima {bare_loop() / 1e9:.1f}, mac {loop_sites_per_second('mac') / 1e9:.1f}",
        "",
        f"{'':32}{'adder':>8}{'maxima':>8}{'whole':>8}{'mac':>8}{'torch':>8}{'whole / adder':>15}",
    ]
    gains = []
    for where, layout in LAYOUTS.items():
        for layer in RESNET:
            found = rates(layer, layout)
            gains.append(found["whole"] / found["adder"])
            columns = "".join(f"{rate:8.1f}" for rate in found.values())
            lines.append(f"{f'{layer.name} ({where})':32}{columns}{gains[-1]:15.2f}")
            print(lines[-1], flush=True)
    gains.sort()
    lines += [
        f"whole / adder: median {gains[len(gains) // 2]:.2f}, least {gains[0]:.2f}, most {gains[-1]:.2f}",
        "",
        f"{'largest relative error':32}{'adder':>10}{'maxima':>10}{'condition':>12}",
    ]
    for name, (x, w) in operands().items():
        direct, by_maxima, condition = errors(x, w)
        lines.append(f"{name:32}{direct:10.1e}{by_maxima:10.1e}{condition:12.1f}")
    text = "\n".join(lines) + "\n"
    print(text)
    if save:
        write_file(RESULTS / schedules_folder().name / "adder-by-maxima.txt", text, force=True)


if __name__ == "__main__":
    main()
