"""Each CPU kernel beside the limit of the core's arithmetic and beside what users run today.

    python -m benchmarks.kernels --rivals > benchmarks/results/kernels-cpu.txt

In every round each contender runs once to warm the caches and then three times, and the limits are measured
again. A rate is the best of all rounds, as the limit is, and a ratio is one of best rates: on a shared
machine the best is what the code can do, the median what the neighbours let it do; `median` stands beside it.
On one thread the clock is the process's own, which stops while a neighbour has the core; on several it is the
wall's.
Data is random. Rates are in G sites/s (one site: one input meets one weight). The limit is the inner loop
alone, and `share` is a rate over the limit of the cores in use.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.kernels import dispatch
from addercost.kernels.cpu import operations, run
from addercost.kernels.cpu.limits import limit_sites_per_second
from addercost.kernels.cpu.signs import pack_signs
from addercost.kernels.problem import Geometry
from addercost.layers.ops import adder as adder_ops
from addercost.layers.ops import binary as binary_ops

BROADCAST_LIMIT_BYTES = 4 << 30


@dataclass(frozen=True)
class Layer:
    """A convolution of a known network."""

    name: str
    batch: int
    channels: int
    filters: int
    size: int
    filter_size: int
    stride: int = 1
    padding: int = 0

    @property
    def geometry(self) -> Geometry:
        return Geometry((self.stride, self.stride), (self.padding, self.padding))

    @property
    def sites(self) -> int:
        out = (self.size + 2 * self.padding - self.filter_size) // self.stride + 1
        return self.batch * self.filters * out * out * self.channels * self.filter_size**2


RESNET = [
    Layer("resnet18 3x3 64", 1, 64, 64, 56, 3, 1, 1),
    Layer("resnet18 3x3 64-128 /2", 1, 64, 128, 56, 3, 2, 1),
    Layer("resnet18 3x3 128", 1, 128, 128, 28, 3, 1, 1),
    Layer("resnet18 3x3 256", 1, 256, 256, 14, 3, 1, 1),
    Layer("resnet18 3x3 512", 1, 512, 512, 7, 3, 1, 1),
    Layer("resnet18 3x3 512, batch 8", 8, 512, 512, 7, 3, 1, 1),
    Layer("resnet50 1x1 64", 1, 64, 64, 56, 1),
    Layer("resnet50 1x1 64-256", 1, 64, 256, 56, 1),
    Layer("resnet50 1x1 256-64", 1, 256, 64, 56, 1),
    Layer("resnet50 1x1 256-512 /2", 1, 256, 512, 56, 1, 2),
    Layer("resnet50 1x1 1024-256", 1, 1024, 256, 14, 1),
    Layer("resnet50 1x1 2048-512", 1, 2048, 512, 7, 1),
]
SMALL = [
    Layer("resnet20 3x3 16", 16, 16, 16, 32, 3, 1, 1),
    Layer("resnet20 3x3 32", 16, 32, 32, 16, 3, 1, 1),
    Layer("resnet20 3x3 64", 16, 64, 64, 8, 3, 1, 1),
    Layer("lenet5 5x5 1-6", 32, 1, 6, 32, 5),
    Layer("lenet5 5x5 6-16", 32, 6, 16, 14, 5),
]


def unfold_cdist(x: Tensor, w: Tensor, layer: Layer) -> Tensor:
    """What adder users run: im2col, then the L1 distance of its columns to the filters."""
    columns = F.unfold(x, layer.filter_size, padding=layer.padding, stride=layer.stride)
    return -torch.cdist(columns.transpose(1, 2), w.flatten(1)[None], p=1).transpose(1, 2)


def broadcast(x: Tensor, w: Tensor, layer: Layer) -> Tensor:
    """The public pure-torch form: every difference in memory at once."""
    columns = F.unfold(x, layer.filter_size, padding=layer.padding, stride=layer.stride)
    return -(columns[:, None] - w.flatten(1)[None, :, :, None]).abs().sum(2)


def timed(call: Callable[[], object]) -> float:
    """Seconds of the fastest of three calls after one to warm up."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    call()
    best = float("inf")
    for _ in range(3):
        start = clock()
        call()
        best = min(best, clock() - start)
    return best


def contenders(layer: Layer, channels_last: bool) -> dict[str, Callable[[], object]]:
    """Name to a call that computes the layer once."""
    shape = (layer.batch, layer.channels, layer.size, layer.size)
    weight_shape = (layer.filters, layer.channels, layer.filter_size, layer.filter_size)
    x, w = torch.randn(shape), torch.randn(weight_shape)
    codes, weight_codes = (torch.randint(0, 256, s, dtype=torch.uint8) for s in (shape, weight_shape))
    if channels_last:
        x, codes = (t.contiguous(memory_format=torch.channels_last) for t in (x, codes))
    weight_codes = weight_codes.contiguous(memory_format=torch.channels_last)
    words, weight_words = pack_signs(x, 1), pack_signs(w, 1)
    geometry = layer.geometry
    arguments = ([layer.stride] * 2, [layer.padding] * 2, [1, 1], 1)
    grad = torch.randn_like(F.conv2d(x, w, None, layer.stride, layer.padding))
    return {
        "adder": lambda: run.convolve("adder", x, w, geometry),
        "mac": lambda: run.convolve("mac", x, w, geometry),
        "torch conv2d": lambda: F.conv2d(x, w, None, layer.stride, layer.padding),
        "shift": lambda: run.convolve("shift", x, w, geometry),
        "adder u8": lambda: run.convolve("adder_u8", codes, weight_codes, geometry),
        "xnor words": lambda: run.convolve("xnor", words, weight_words, geometry, w[0].numel()),
        "binary packed each call": lambda: operations.binary_forward(x, w, geometry),
        "adder layer": lambda: adder_ops.conv2d(x, w, None, *arguments, "full"),
        "binary layer": lambda: binary_ops.conv2d(x, w, None, *arguments),
        "adder gradient": lambda: run.adder_input_gradient(grad, x, w, geometry),
    }


LIMITS = {"adder": "adder", "mac": "mac", "adder u8": "adder_u8", "xnor words": "xnor"}


def bench_layer(layer: Layer, channels_last: bool, rounds: int) -> dict[str, object]:
    """Best and median rates in G sites/s, shares of the limit, and ratios between contenders."""
    calls = contenders(layer, channels_last)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    limits: dict[str, float] = dict.fromkeys(LIMITS.values(), 0.0)
    for _ in range(rounds):
        for site in limits:
            limits[site] = max(limits[site], limit_sites_per_second(site, 0.004) / 1e9)
        for name, call in calls.items():
            seconds[name].append(timed(call))
    rate = {name: layer.sites / min(s) / 1e9 for name, s in seconds.items()}
    return {
        "layer": layer.name,
        "layout": "nhwc" if channels_last else "nchw",
        "rate": rate,
        "median": {name: layer.sites / statistics.median(s) / 1e9 for name, s in seconds.items()},
        "share": {name: rate[name] / limits[site] / torch.get_num_threads() for name, site in LIMITS.items()},
        "ratio": {
            "mac / torch": rate["mac"] / rate["torch conv2d"],
            "u8 / adder": rate["adder u8"] / rate["adder"],
            "xnor / adder": rate["xnor words"] / rate["adder"],
            "binary layer / adder": rate["binary layer"] / rate["adder"],
        },
    }


def bench_rivals(layer: Layer, rounds: int) -> dict[str, object]:
    """Forward and training step against what is used today, and the peak memory of each forward."""
    x = torch.randn(layer.batch, layer.channels, layer.size, layer.size, requires_grad=True)
    w = torch.randn(layer.filters, layer.channels, layer.filter_size, layer.filter_size, requires_grad=True)
    arguments = ([layer.stride] * 2, [layer.padding] * 2, [1, 1], 1)
    forms: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: adder_ops.conv2d(x, w, None, *arguments, "full"),
        "cdist": lambda: unfold_cdist(x, w, layer),
    }
    if 4 * layer.sites <= BROADCAST_LIMIT_BYTES:
        forms["broadcast"] = lambda: broadcast(x, w, layer)

    def forward(form: Callable[[], Tensor]) -> None:
        with torch.no_grad():
            form()

    def step(form: Callable[[], Tensor]) -> None:
        torch.autograd.grad(form().sum(), (x, w))

    out: dict[str, object] = {"layer": layer.name}
    for kind, act in (("forward", forward), ("training step", step)):
        seconds: dict[str, list[float]] = {name: [] for name in forms}
        for _ in range(rounds):
            for name, form in forms.items():
                seconds[name].append(timed(lambda act=act, form=form: act(form)))  # type: ignore[misc]
        out[kind] = {name: min(seconds[name]) / min(seconds["ours"]) for name in forms if name != "ours"}
    own = 4 * (x.numel() + w.numel() + forms["ours"]().numel())
    out["memory"] = {name: peak_bytes(lambda form=form: forward(form)) / own for name, form in forms.items()}  # type: ignore[misc]
    return out


def peak_bytes(call: Callable[[], object]) -> int:
    """How far the resident set rises during the second call above where it stood. Linux with glibc only."""
    status = Path("/proc/self/status")

    def field(name: str) -> int:
        line = next(row for row in status.read_text().splitlines() if row.startswith(name))
        return int(line.split()[1]) * 1024

    call()
    # Freed memory still in the process would hide what the call needs.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = field("VmRSS")
    call()
    return max(0, field("VmHWM") - before)


def keep_freed_memory() -> None:
    """Lets glibc hand a freed output to the next call, for every contender alike: faulting in fresh pages
    for each output says nothing about a kernel. `peak_bytes` runs before."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        mmap_threshold, trim_threshold = -3, -1
        libc.mallopt(mmap_threshold, 32 << 20)
        libc.mallopt(trim_threshold, 1 << 30)


def environment() -> dict[str, object]:
    model = next(
        (
            row.split(":")[1].strip()
            for row in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in row
        ),
        platform.processor(),
    )
    return {
        "cpu": model,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", choices=("resnet", "small", "all"), default="all")
    parser.add_argument(
        "--rivals", action="store_true", help="also the forms users run today: slow, much memory"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(json.dumps(environment()))
    print(
        "limits, one core, G sites/s:",
        {s: round(limit_sites_per_second(s, 0.2) / 1e9, 1) for s in LIMITS.values()},
    )
    layers = {"resnet": RESNET, "small": SMALL, "all": RESNET + SMALL}[options.layers]
    results: list[dict[str, object]] = []
    if options.rivals:
        print(
            "\nours against what users run: how many times faster, and memory over inputs + outputs + weights"
        )
        for layer in (RESNET[0], SMALL[0], SMALL[2]):
            result = bench_rivals(layer, 3)
            results.append(result)
            print(json.dumps(result))
    keep_freed_memory()
    for channels_last in (True, False):
        for layer in layers:
            result = bench_layer(layer, channels_last, options.rounds)
            results.append(result)
            print(f"\n{layer.name} ({result['layout']})")
            for part in ("rate", "median", "share", "ratio"):
                row = result[part]
                assert isinstance(row, dict)
                print(f"  {part:6}", "  ".join(f"{name} {value:.2f}" for name, value in row.items()))
    print("kernels run:", dict(dispatch.runs))
    if options.json:
        options.json.write_text(
            json.dumps([environment(), [asdict(layer) for layer in layers], results], indent=1)
        )


if __name__ == "__main__":
    main()
