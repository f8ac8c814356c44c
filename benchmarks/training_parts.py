"""Times the parts of an adder layer's training step, beside torch's convolution and the limit of each part.

    python -m benchmarks.training_parts --save

writes benchmarks/results/<processor>/training-parts.txt. The parts are the forward, the gradient of the input
and that of the weight, for both gradients: `full`, as the paper trains, and `sign`. The layers are those of
ResNet-20 and ResNet-18, one thread, channels-last. Times are medians of the rounds. The limit is that of a
bare loop of the part's operations in the same round: a subtraction, an absolute value and an addition a site
for the forward; a maximum, a minimum and a multiply-add for the input's gradient; a multiply-add for the
weight's. `share` is the limit's time / our time.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F

from addercost.arithmetic import Arithmetic
from addercost.kernels import dispatch
from addercost.kernels.cpu.dense.tuned import schedules_folder
from addercost.kernels.cpu.processor import vector_bytes
from addercost.measure.devices.process_memory import keep_freed_memory
from addercost.measure.host.loop_rate import bare_loop_sites_per_second, loop_sites_per_second
from addercost.measure.host.probe import HostLoop
from addercost.results.files import write_file
from benchmarks.kernel_layers import RESNET, SMALL, Layer
from benchmarks.kernels import RESULTS, environment, timed

LAYERS = [*SMALL[:3], *(replace(layer, batch=4) for layer in RESNET[:5])]
CLIPPED = HostLoop(
    "adder_gradient",
    Arithmetic.ADDER,
    "fp32",
    8 * vector_bytes(),
    vector_bytes() // 4,
    ("vmaxps {w}, {c0}, {t}", "vminps {t}, {c1}, {t}", "vfmadd231ps {t}, {x}, {s}"),
    8 if vector_bytes() == 64 else 3,
    (0x3F900000, 0x3FE00000),
    "fp32",
    "fp32",
)
"""The input's gradient: a weight between two limits that stay in registers (here 1.125 and 1.75), times the
output's gradient. On the widest registers, as many as are there."""


def contenders(layer: Layer) -> dict[str, Callable[[], object]]:
    """Each part by name: ours with both gradients, and torch's convolution."""
    x = torch.randn(layer.input_shape).contiguous(memory_format=torch.channels_last)
    w = torch.randn(layer.weight_shape)
    grad = torch.randn_like(F.conv2d(x, w, None, layer.stride, layer.padding))
    place = ([layer.stride] * 2, [layer.padding] * 2, [1, 1], False, [0, 0], 1)

    def torch_gradient(*needed: bool) -> Callable[[], object]:
        return lambda: torch.ops.aten.convolution_backward(grad, x, w, None, *place, [*needed, False])

    calls: dict[str, Callable[[], object]] = {
        "forward": lambda: dispatch.adder_forward(x, w, layer.geometry),
        "forward, torch": lambda: F.conv2d(x, w, None, layer.stride, layer.padding),
        "input, torch": torch_gradient(True, False),
        "weight, torch": torch_gradient(False, True),
    }
    for kind in ("full", "sign"):
        arguments = (grad, x, w, layer.geometry, kind)
        calls[f"input, {kind}"] = lambda arguments=arguments: dispatch.adder_input_gradient(*arguments)
        calls[f"weight, {kind}"] = lambda arguments=arguments: dispatch.adder_weight_gradient(*arguments)
    return calls


def bench(layer: Layer, rounds: int) -> list[str]:
    calls = contenders(layer)
    times: dict[str, list[float]] = {name: [] for name in (*calls, "adder", "clipped", "mac")}
    for _ in range(rounds):
        times["adder"].append(layer.sites / loop_sites_per_second("adder", 0.01))
        times["mac"].append(layer.sites / loop_sites_per_second("mac", 0.01))
        times["clipped"].append(layer.sites / bare_loop_sites_per_second(CLIPPED, 0.01))
        for name, call in calls.items():
            times[name].append(timed(call))
    took = {name: statistics.median(found) for name, found in times.items()}
    lines = [f"\n{layer.name}, batch {layer.batch}"]
    parts = (
        ("forward", "forward, torch", "adder"),
        ("input, full", "input, torch", "clipped"),
        ("input, sign", "input, torch", ""),
        ("weight, full", "weight, torch", "mac"),
        ("weight, sign", "weight, torch", ""),
    )
    for name, rival, limit in parts:
        line = f"  {name:14}{1e3 * took[name]:9.3f} ms   torch {1e3 * took[rival]:9.3f} ms"
        line += f"   by torch {took[name] / took[rival]:6.2f}"
        if limit:
            line += f"   limit {1e3 * took[limit]:9.3f} ms   share {took[limit] / took[name]:.2f}"
        lines.append(line)
    for kind in ("full", "sign"):
        step = took["forward"] + took[f"input, {kind}"] + took[f"weight, {kind}"]
        rival_step = sum(took[f"{part}, torch"] for part in ("forward", "input", "weight"))
        lines.append(f"  step, {kind}: {1e3 * step:.3f} ms, {step / rival_step:.2f} of torch's")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="also into the folder of this processor")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    lines = [json.dumps(environment())]
    for layer in LAYERS:
        lines += bench(layer, options.rounds)
    print("\n".join(lines))
    if options.save:
        folder = RESULTS / schedules_folder().name
        write_file(folder / "training-parts.txt", "\n".join(lines) + "\n", force=True)


if __name__ == "__main__":
    main()
