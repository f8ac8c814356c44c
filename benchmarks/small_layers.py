"""Small and thin layers with their floor: LeNet-5's, ResNet-20's, 1×1, linear at batch 1, depthwise, binary.

    python -m benchmarks.small_layers --save

writes benchmarks/results/<processor>/small-layers.txt. Every layer is called as a user calls it, without
gradients, in NCHW, one thread, with operands that the caches keep. All times are in µs, each the fastest of
many calls: on a shared machine that shows what the code can do. The columns:

- layer: the whole call of our layer.
- sites: its sites (pairs of an input and a weight) / the rate of the bare inner loop.
- bytes: the time of `memmove` for the bytes of input, weight and output, half of them read, half written.
- call: our smallest layer of the same kind: one site for each output (binary: 32 sites, 32 filters).
- floor: the longer of sites and bytes, plus the call. share: floor / layer. Calls vary, so it may exceed 1 a
  little where the call is nearly all.
- torch: torch's layer of the same shape, which multiplies.
"""

from __future__ import annotations

import argparse
import ctypes
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from addercost.kernels.cpu.dense.tuned import schedules_folder
from addercost.layers import AdderConv2d, AdderLinear, BinaryConv2d, pack_binary
from addercost.measure.devices.process_memory import keep_freed_memory
from addercost.measure.host.loop_rate import loop_sites_per_second
from addercost.results.files import write_file
from benchmarks.kernel_layers import DEPTHWISE, RESNET, Layer
from benchmarks.kernels import RESULTS, environment, timed

CONVOLUTIONS = [
    Layer("lenet5 conv1 5x5 1-6", 1, 1, 6, 32, 5),
    Layer("lenet5 conv2 5x5 6-16", 1, 6, 16, 14, 5),
    Layer("resnet20 3x3 3-16", 1, 3, 16, 32, 3, 1, 1),
    Layer("resnet20 3x3 16", 1, 16, 16, 32, 3, 1, 1),
    Layer("resnet20 3x3 16-32 /2", 1, 16, 32, 32, 3, 2, 1),
    Layer("resnet20 3x3 32", 1, 32, 32, 16, 3, 1, 1),
    Layer("resnet20 3x3 32-64 /2", 1, 32, 64, 16, 3, 2, 1),
    Layer("resnet20 3x3 64", 1, 64, 64, 8, 3, 1, 1),
    *(layer for layer in RESNET if layer.name in ("resnet50 1x1 64", "resnet50 1x1 64-256")),
    *DEPTHWISE,
]
LINEAR = {
    "lenet5 fc1": (400, 120),
    "lenet5 fc2": (120, 84),
    "lenet5 fc3": (84, 10),
    "resnet20 fc": (64, 10),
    "resnet18 fc": (512, 1000),
    "resnet50 fc": (2048, 1000),
    "4096 to 4096": (4096, 4096),
}
BINARY = [
    Layer("resnet20 3x3 16", 1, 16, 16, 32, 3, 1, 1),
    Layer("resnet20 3x3 64", 1, 64, 64, 8, 3, 1, 1),
    *(layer for layer in RESNET if layer.batch == 1),
]
HEADER = (
    "times in µs".ljust(32)
    + f"{'layer':>9}{'sites':>9}{'bytes':>9}{'call':>7}{'floor':>9}{'share':>7}{'torch':>9}"
)


@dataclass(frozen=True)
class Case:
    """A layer of ours beside torch's. site: the arithmetic of its bare loop. smallest: a layer of the same
    kind whose call is all that it takes, with an input for it."""

    name: str
    site: str
    sites: int
    layer: nn.Module
    torch_layer: nn.Module
    input: Tensor
    smallest: Callable[[], object]

    @property
    def moved_bytes(self) -> int:
        """Bytes of input, weights and output."""
        parameters = [*self.layer.parameters(), *self.layer.buffers()]
        return sum(t.nbytes for t in (self.input, *parameters, self.layer(self.input)))


def cases() -> Iterator[Case]:
    """All layers, in the order of the table."""
    one, one_depthwise = AdderConv2d(1, 1, 1), AdderConv2d(2, 2, 1, groups=2)
    pixel, pixels = torch.randn(1, 1, 1, 1), torch.randn(1, 2, 2, 2)
    for layer in CONVOLUTIONS:
        kind = AdderConv2d(*_arguments(layer))
        small, of = (one, pixel) if layer.groups == 1 else (one_depthwise, pixels)
        yield _convolution(f"adder {layer.name}", "adder", layer, kind, partial(small, of))
    for name, (inputs, outputs) in LINEAR.items():
        linear, theirs = AdderLinear(inputs, outputs), nn.Linear(inputs, outputs, bias=False)
        x = torch.randn(1, inputs)
        smallest = partial(AdderLinear(1, 1), torch.randn(1))
        yield Case(f"adder linear {name}", "adder", inputs * outputs, linear, theirs, x, smallest)
    smallest = partial(pack_binary(BinaryConv2d(32, 32, 1)), torch.randn(1, 32, 1, 1))
    for layer in BINARY:
        packed = pack_binary(BinaryConv2d(*_arguments(layer)))
        yield _convolution(f"binary {layer.name}", "xnor", layer, packed, smallest)


def _arguments(layer: Layer) -> tuple[int, ...]:
    return (
        *(layer.channels, layer.filters, layer.filter_size, layer.stride, layer.padding),
        *(1, layer.groups),
    )


def _convolution(name: str, site: str, layer: Layer, ours: nn.Module, smallest: Callable[[], object]) -> Case:
    theirs = nn.Conv2d(*_arguments(layer), bias=False)
    return Case(name, site, layer.sites, ours, theirs, torch.randn(layer.input_shape), smallest)


def row(case: Case, rates: dict[str, float], rounds: int) -> str:
    """The case's line of the table."""
    half = case.moved_bytes // 2
    source, target = torch.ones(half, dtype=torch.uint8), torch.empty(half, dtype=torch.uint8)
    calls: dict[str, Callable[[], object]] = {
        "layer": lambda: case.layer(case.input),
        "torch": lambda: case.torch_layer(case.input),
        "bytes": lambda: ctypes.memmove(target.data_ptr(), source.data_ptr(), half),
        "call": case.smallest,
    }
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        best = {name: min(best[name], 1e6 * timed(call)) for name, call in calls.items()}
    sites = 1e6 * case.sites / rates[case.site]
    floor = max(sites, best["bytes"]) + best["call"]
    return (
        f"{case.name:32}{best['layer']:9.1f}{sites:9.1f}{best['bytes']:9.1f}{best['call']:7.1f}"
        f"{floor:9.1f}{floor / best['layer']:7.2f}{best['torch']:9.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", metavar="TEXT", help="layers whose name contains TEXT")
    parser.add_argument("--save", action="store_true", help="also into the folder of this processor")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    rates = {site: max(loop_sites_per_second(site, 0.02) for _ in range(20)) for site in ("adder", "xnor")}
    say(json.dumps(environment()))
    say(f"limits, G sites/s: adder {rates['adder'] / 1e9:.1f}, binary {rates['xnor'] / 1e9:.1f}")
    say(f"\n{HEADER}")
    with torch.no_grad():
        for case in cases():
            if options.only in case.name:
                say(row(case, rates, options.rounds))
    if options.save:
        folder = RESULTS / schedules_folder().name
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / "small-layers.txt", "\n".join(lines) + "\n", force=True)


if __name__ == "__main__":
    main()
