"""Each CPU kernel against the limit of the core's arithmetic, and against what users run today.

    python -m benchmarks.kernels --rivals --start --cores --save

The last option writes benchmarks/results/<processor>/kernels.txt. Tuned schedules are used where there are
some.

In every round each contender runs once to warm the caches and then at least three times, and the limits are
measured again. A rate is the best of all rounds, and so is a limit; a ratio is computed from best rates. On a
shared machine the best rate shows what the code can do. The column `median` shows what is left beside other
programs. On one thread the clock is the processor time of the process, which stops while another program has
the core; on several threads it is the wall clock. Data are random. Rates are in G sites/s; a site is one pair
of input and weight. The limit is the rate of the bare inner loop, and `share` is a rate / the limit of the
cores in use. "adder / two additions" is the rate / that of a loop whose add units do both additions of a
site. This is less than the limit where multiply-adds have their own units. The last lines say which targets
were reached.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.hardware.this_machine import processor_id
from addercost.kernels import dispatch
from addercost.kernels.cpu.binary import convolution as binary
from addercost.kernels.cpu.binary import lookup
from addercost.kernels.cpu.dense import convolution as dense
from addercost.kernels.cpu.dense.tuned import schedules_folder, tuned_schedules
from addercost.kernels.cpu.depthwise import convolution as depthwise
from addercost.kernels.cpu.u8 import convolution as u8
from addercost.kernels.problem import Geometry, output_layout
from addercost.kernels.signs import pack_factors, pack_filters
from addercost.layers import AdderConv2d
from addercost.layers.ops import adder as adder_ops
from addercost.layers.ops import binary as binary_ops
from addercost.measure.devices.process_memory import keep_freed_memory, peak_bytes
from addercost.measure.host.loop_rate import loop_sites_per_second
from addercost.results.files import write_file
from benchmarks.kernel_layers import DEPTHWISE, RESNET, SMALL, Layer, broadcast, unfold_cdist
from benchmarks.kernel_start import first_and_second_process
from benchmarks.kernel_targets import Row, summary

RESULTS = Path(__file__).with_name("results")
SERIES_S = 0.01
"""How long a series of calls takes: a call of a tenth of a millisecond reaches its full speed only after five
or ten others.
"""
BROADCAST_LIMIT_BYTES = 4 << 30
KINDS = {"resnet": RESNET, "small": SMALL, "depthwise": DEPTHWISE}
RIVALS = (RESNET[0], SMALL[0], SMALL[2])
CORES = (RESNET[0], RESNET[2], RESNET[5], RESNET[10])


def timed(call: Callable[[], object]) -> float:
    """Seconds of the fastest of three calls, or of as many as take `SERIES_S`, after one call to warm up.

    The wall clock is used, since it never stops. A virtual machine subtracts stolen time late from the
    processor time, and that clock has stopped for a whole call.
    """
    clock = time.perf_counter
    call()
    best, spent, calls = float("inf"), 0.0, 0
    while calls < 3 or spent < SERIES_S:
        start = clock()
        call()
        took = clock() - start
        best, spent, calls = min(best, took), spent + took, calls + 1
    return best


def contenders(layer: Layer, channels_last: bool) -> dict[str, Callable[[], object]]:
    """Calls that compute the layer once, by name. "memory" and "memory u8" only move as many bytes as its
    input and output have.
    """
    x, w = torch.randn(layer.input_shape), torch.randn(layer.weight_shape)
    codes, weight_codes = (
        torch.randint(0, 256, s, dtype=torch.uint8) for s in (layer.input_shape, layer.weight_shape)
    )
    if channels_last:
        x, codes = (t.contiguous(memory_format=torch.channels_last) for t in (x, codes))
    weight_codes = weight_codes.contiguous(memory_format=torch.channels_last)
    geometry, groups = layer.geometry, layer.groups
    arguments = ([layer.stride] * 2, [layer.padding] * 2, [1, 1], groups)
    words, factors = pack_filters(w, groups), pack_factors(binary_ops.filter_scale(w), None, groups)
    packed = (words, factors, list(layer.weight_shape), *arguments)
    grad = torch.randn_like(F.conv2d(x, w, None, layer.stride, layer.padding, 1, groups))
    moved = torch.randn((x.numel() + grad.numel()) // 2)
    target = torch.empty_like(moved)
    moved_u8 = torch.randn((x.numel() + 4 * grad.numel()) // 8)
    target_u8 = torch.empty_like(moved_u8)
    calls: dict[str, Callable[[], object]] = {
        "adder": lambda: dense.convolve("adder", x, w, geometry),
        "mac": lambda: dense.convolve("mac", x, w, geometry),
        "torch conv2d": lambda: F.conv2d(x, w, None, layer.stride, layer.padding, 1, groups),
        "adder u8": lambda: u8.convolve(codes, weight_codes, geometry),
        "binary packed": lambda: binary_ops.conv2d_packed(x, *packed),
        "adder layer": lambda: adder_ops.conv2d(x, w, None, *arguments, "full"),
        "binary layer": lambda: binary_ops.conv2d(x, w, None, *arguments),
        "adder gradient": lambda: dispatch.adder_input_gradient(grad, x, w, geometry, "full"),
        "memory": lambda: target.copy_(moved),
        "memory u8": lambda: target_u8.copy_(moved_u8),
    }
    if not depthwise.takes(layer.weight_shape, groups):
        calls["binary kernel"] = _on_packed_signs(x, words, factors, layer)
    return calls


def _on_packed_signs(x: Tensor, words: Tensor, factors: Tensor, layer: Layer) -> Callable[[], object]:
    """A call of the binary kernel alone, with signs that were packed and an output that was allocated
    beforehand.
    """
    layout, threads = output_layout(x), torch.get_num_threads()
    if lookup.takes(layer.weight_shape, layer.geometry):
        looked_up = lookup.lookup_plan(
            x.shape, x.stride(), layer.weight_shape, layer.geometry, layout, threads
        )
        image, output = (
            looked_up.packing.fresh(),
            torch.empty(looked_up.shape, memory_format=looked_up.layout),
        )
        assert not looked_up.packing.pack_into(x, image)
        halves = lookup.arranged(words, looked_up.vectors)
        return lambda: looked_up.run(image, halves, factors, None, output)
    plan = binary._plan(
        x.shape, x.stride(), layer.weight_shape, layer.geometry, layout, threads, tuned_schedules()
    )
    image, output = plan.packing.fresh(), torch.empty(plan.kernel.shape, memory_format=plan.kernel.layout)
    assert not plan.packing.pack_into(x, image)
    operands = (image, words, factors, output)
    return lambda: plan.launch(*(operand.data_ptr() for operand in operands))


LIMITS = {
    "adder": ("adder", "adder"),
    "adder / two additions": ("adder", "two_additions"),
    "mac": ("mac", "mac"),
    "adder u8": ("adder u8", "adder_u8"),
    "binary packed": ("binary packed", "xnor"),
}
"""For each share, the contender and its limit."""
BOUNDS = {"adder u8": "memory u8", "binary packed": "memory"}
"""The contender that only moves a narrow layer's input and output. No kernel can be faster than that
contender or than its limit. A kernel that first moves and then computes takes the sum of both.
"""


def bench_layer(kind: str, layer: Layer, channels_last: bool, rounds: int) -> Row:
    """Best and median rates in G sites/s. Shares of the limit and ratios between contenders are medians of
    those of each round.
    """
    calls, cores = contenders(layer, channels_last), torch.get_num_threads()
    names = (*calls, *(f"limit {site}" for _, site in LIMITS.values()))
    rates: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for site in {site for _, site in LIMITS.values()}:
            rates[f"limit {site}"].append(loop_sites_per_second(site, 0.004) * cores / 1e9)
        for name, call in calls.items():
            rates[name].append(layer.sites / timed(call) / 1e9)

    def over(name: str, other: str) -> float:
        """The ratio within one round, since a core's clock can change by a third from one second to the
        next.
        """
        return statistics.median(a / b for a, b in zip(rates[name], rates[other], strict=True))

    def bounds(name: str, adder: str) -> tuple[float, float]:
        """(the bound if moving and computing overlap, the bound if they follow each other)."""
        moving, computing = over(BOUNDS[name], adder), over(f"limit {LIMITS[name][1]}", adder)
        return min(moving, computing), 1 / (1 / moving + 1 / computing)

    return {
        "kind": kind,
        "layer": layer.name,
        "layout": "nhwc" if channels_last else "nchw",
        "weight_mb": 4e-6 * math.prod(layer.weight_shape),
        "pixels": layer.output_elements // layer.filters,
        "rate": {name: max(rates[name]) for name in calls},
        "median": {name: statistics.median(rates[name]) for name in calls},
        "share": {share: over(name, f"limit {site}") for share, (name, site) in LIMITS.items()},
        "ratio": {
            "mac / torch": over("mac", "torch conv2d"),
            "u8 / adder": over("adder u8", "adder"),
            "packed / adder": over("binary packed", "adder layer"),
            **({"binary kernel / adder": over("binary kernel", "adder")} if "binary kernel" in calls else {}),
            "binary layer / adder": over("binary layer", "adder layer"),
        },
        "moving": {"adder u8": over("adder u8", "memory u8")},
        "bounds": {
            "binary kernel / adder": (over("limit xnor", "adder"),),
            "u8 / adder": bounds("adder u8", "adder"),
            "packed / adder": bounds("binary packed", "adder layer"),
        },
    }


def bench_rivals(layer: Layer, rounds: int) -> Row:
    """Times a forward and a training step, with the code that users run today beside them, and the peak
    memory of each forward.
    """
    x = torch.randn(layer.input_shape, requires_grad=True)
    w = torch.randn(layer.weight_shape, requires_grad=True)
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

    out: Row = {"kind": "rivals", "layer": layer.name}
    limit = 0.0
    for kind, act in (("forward", forward), ("training step", step)):
        seconds: dict[str, list[float]] = {name: [] for name in forms}
        for _ in range(rounds):
            limit = max(limit, loop_sites_per_second("adder", 0.01))
            for name, form in forms.items():
                seconds[name].append(timed(lambda act=act, form=form: act(form)))  # type: ignore[misc]
        out[kind] = {name: min(seconds[name]) / min(seconds["ours"]) for name in forms if name != "ours"}
        if kind == "forward":
            out["at the limit"] = min(seconds["cdist"]) * limit / layer.sites
    own = 4 * (x.numel() + w.numel() + forms["ours"]().numel())
    out["memory"] = {name: _peak(forward, form) / own for name, form in forms.items()}
    return out


def bench_start() -> Row:
    """Seconds of processor time that kernels take to be there, and microseconds that a call of a one-element
    layer costs.
    """
    compiled, loaded = first_and_second_process()
    x, w = torch.randn(1, 1, 1, 1), torch.randn(1, 1, 1, 1)
    layer = AdderConv2d(1, 1, 1)

    def microseconds(call: Callable[[], object]) -> float:
        return min(timed(lambda: [call() for _ in range(100)]) for _ in range(10)) * 1e4

    with torch.no_grad():
        calls = {
            "torch conv2d": microseconds(lambda: F.conv2d(x, w)),
            "kernel": microseconds(lambda: dense.convolve("adder", x, w, Geometry())),
            "layer": microseconds(lambda: layer(x)),
        }
    return {"seconds": compiled, "loaded": loaded, "call_us": calls}


def bench_cores(layer: Layer, rounds: int) -> Row:
    """How many times faster two threads are than one: the median of the rounds."""
    x, w = torch.randn(layer.input_shape), torch.randn(layer.weight_shape)
    x, before = x.contiguous(memory_format=torch.channels_last), torch.get_num_threads()
    ratios: list[float] = []
    try:
        for _ in range(rounds):
            seconds = {}
            for threads in (1, 2):
                torch.set_num_threads(threads)
                seconds[threads] = timed(lambda: dense.convolve("adder", x, w, layer.geometry))
            ratios.append(seconds[1] / seconds[2])
    finally:
        torch.set_num_threads(before)
    return {"kind": "cores", "layer": layer.name, "ratio": statistics.median(ratios)}


def _peak(forward: Callable[[Any], object], form: Callable[[], Tensor]) -> int:
    found = peak_bytes(lambda: forward(form))
    if found is None:
        raise SystemExit("memory is measured on Linux with glibc only: leave --rivals out")
    return found


def environment() -> dict[str, object]:
    return {
        "cpu": processor_id(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", choices=(*KINDS, "all", "none"), default="all")
    parser.add_argument("--only", default="", metavar="TEXT", help="layers whose name contains TEXT")
    parser.add_argument(
        "--rivals", action="store_true", help="also the forms users run today: slow, much memory"
    )
    parser.add_argument("--start", action="store_true", help="also compile times and the cost of a call")
    parser.add_argument("--cores", action="store_true", help="also two threads against one")
    parser.add_argument("--save", action="store_true", help="also into the folder of this processor")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lines: list[str] = []

    def say(*words: object, sep: str = " ") -> None:
        lines.append(sep.join(map(str, words)))
        print(lines[-1], flush=True)

    say(json.dumps(environment()))
    say(
        "limits, one core, G sites/s:",
        {s: round(loop_sites_per_second(s, 0.2) / 1e9, 1) for _, s in LIMITS.values()},
    )
    chosen = list(KINDS) if options.layers == "all" else [options.layers]
    layers = [(kind, layer) for kind in chosen for layer in KINDS.get(kind, []) if options.only in layer.name]
    rivals: list[Row] = []
    if options.rivals:
        say(
            "\nours against what users run: how many times faster, and memory over inputs + outputs + weights"
        )
        for layer in RIVALS:
            rivals.append(bench_rivals(layer, 3))
            say(json.dumps(rivals[-1]))
    keep_freed_memory()
    start = bench_start() if options.start else {}
    if start:
        say("\ncompiling ResNet-50's adder layers, s:", [round(s, 2) for s in start["seconds"]])
        say("loading them again, s:", [round(s, 3) for s in start["loaded"]])
        say("one call, µs:", {name: round(us, 1) for name, us in start["call_us"].items()})
    results: list[Row] = []
    for channels_last in (True, False):
        for kind, layer in layers:
            result = bench_layer(kind, layer, channels_last, options.rounds)
            results.append(result)
            say(f"\n{layer.name} ({result['layout']})")
            for part in ("rate", "median", "share", "ratio"):
                row = result[part]
                say(f"  {part:6}", "  ".join(f"{name} {value:.2f}" for name, value in row.items()))
    say()
    # Last, since freeing the gigabytes of the broadcast form keeps the second core busy for seconds.
    cores = [bench_cores(layer, options.rounds) for layer in CORES] if options.cores else []
    for row in cores:
        say(f"two threads over one, {row['layer']}: {row['ratio']:.2f}")
    say("\nkernels run:", dict(dispatch.runs))
    say("\ntargets", *summary(results, rivals, start, cores), sep="\n")
    if options.save:
        folder = RESULTS / schedules_folder().name
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / "kernels.txt", "\n".join(lines) + "\n", force=True)
    if options.json:
        options.json.write_text(
            json.dumps(
                [environment(), [asdict(layer) for _, layer in layers], results, rivals, start, cores],
                indent=1,
            )
        )


if __name__ == "__main__":
    main()
