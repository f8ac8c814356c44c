"""A training step of an adder network in our form and in the public broadcast form, with its peak memory.

Usage: python -m benchmarks.training [--threads 2] [--rounds 3] [--models lenet5-bn,resnet20-cifar]

The broadcast form is how AdderNet is written in plain torch: unfold the image, subtract every filter from
every patch in one tensor [K, C·R·S, N·P·Q], and reduce it. On both sides a step is forward, loss, backward,
adaptive rate, and SGD with momentum. Both start from the same weights, and their gradients are compared
before they are timed.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from addercost.arithmetic import Arithmetic
from addercost.layers import AdderConv2d, AdderLinear
from addercost.measure.devices.process_memory import available_bytes, peak_bytes
from addercost.models.zoo import ZOO
from addercost.train.rates import adder_weights, make_optimizer, scale_adaptively
from addercost.train.settings import TrainSettings
from benchmarks.kernels import environment

BATCHES = {"lenet5-bn": 128, "resnet20-cifar": 128}
LIVE = 4.0
"""How many tensors of the largest size the broadcast form has at one time in its backward pass."""


class Distances(torch.autograd.Function):
    """-Σ|w - x| of every filter [K, D] and patch [D, M] by broadcasting, with AdderNet's gradients."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(w, x)
        return -(w[:, :, None] - x[None]).abs().sum(1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        w, x = ctx.saved_tensors
        of_w = ((x[None] - w[:, :, None]) * grad[:, None]).sum(2)
        of_x = ((w[:, :, None] - x[None]).clamp(-1, 1) * grad[:, None]).sum(0)
        return of_w, of_x


class BroadcastConv2d(nn.Module):
    def __init__(self, layer: AdderConv2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.stride, self.padding = layer.stride, layer.padding

    def forward(self, x: Tensor) -> Tensor:
        k, _, r, s = self.weight.shape
        patches = F.unfold(x, (r, s), padding=self.padding, stride=self.stride)
        n, d, m = patches.shape
        out = Distances.apply(self.weight.flatten(1), patches.permute(1, 2, 0).reshape(d, m * n))
        rows = (x.shape[2] + 2 * self.padding[0] - r) // self.stride[0] + 1
        out = out.view(k, rows, m // rows, n).permute(3, 0, 1, 2).contiguous()
        return out if self.bias is None else out + self.bias[:, None, None]


class BroadcastLinear(nn.Module):
    def __init__(self, layer: AdderLinear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = Distances.apply(self.weight, x.t().contiguous()).t()
        return out if self.bias is None else out + self.bias


def broadcast(model: nn.Module) -> nn.Module:
    """A copy of the model whose adder layers compute by broadcasting."""
    made = copy.deepcopy(model)
    for parent in list(made.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, AdderConv2d):
                setattr(parent, name, BroadcastConv2d(child))
            elif isinstance(child, AdderLinear):
                setattr(parent, name, BroadcastLinear(child))
    return made


def make_step(model: nn.Module, adders: list[Tensor], images: Tensor, labels: Tensor) -> Callable[[], Tensor]:
    settings = TrainSettings("benchmark", "random", learning_rate=0.01)
    optimizer = make_optimizer(model, settings)

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        scale_adaptively(adders, settings.eta)
        optimizer.step()
        return loss.detach()

    return step


def pair(name: str, batch: int) -> dict[str, Callable[[], Tensor]]:
    """A step of each form, from the same weights and images."""
    torch.manual_seed(1)
    ours = ZOO[name].build(Arithmetic.ADDER).train()
    theirs = broadcast(ours)
    images = torch.randn(batch, *ZOO[name].input_shape[1:])
    labels = torch.randint(0, 10, (batch,))
    rivals = [m.weight for m in theirs.modules() if isinstance(m, BroadcastConv2d | BroadcastLinear)]
    return {
        "ours": make_step(ours, adder_weights(ours), images, labels),
        "broadcast": make_step(theirs, rivals, images, labels),
    }


def check_equal(name: str) -> float:
    """The largest relative difference of a weight gradient between the two forms, at a batch of 8."""
    torch.manual_seed(2)
    ours = ZOO[name].build(Arithmetic.ADDER).train()
    theirs = broadcast(ours)
    images, labels = torch.randn(8, *ZOO[name].input_shape[1:]), torch.arange(8)
    for model in (ours, theirs):
        F.cross_entropy(model(images), labels).backward()
    worst = 0.0
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None
        if a.dim() == 1:
            # The gradient of a bias before a batch norm is zero up to rounding.
            continue
        worst = max(worst, float((a.grad - b.grad).norm() / b.grad.norm().clamp_min(1e-12)))
    if worst > 0.01:
        raise SystemExit(f"{name}: the two forms differ by {worst:.2g}: nothing to compare")
    return worst


def largest_tensor_bytes(name: str, batch: int) -> int:
    """Bytes of the tensor [K, C·R·S, N·P·Q] in fp32, of the layer where it is largest."""
    with torch.device("meta"):
        model, x = ZOO[name].build(Arithmetic.ADDER), torch.empty(batch, *ZOO[name].input_shape[1:])
    found = [0]
    for module in model.modules():
        if isinstance(module, AdderConv2d | AdderLinear):
            module.register_forward_hook(
                lambda m, _, out: found.append(4 * m.weight.numel() * (out.numel() // m.weight.shape[0]))
            )
    model(x)
    return max(found)


def peak_of(name: str, form: str, batch: int, threads: int) -> int | None:
    """Peak bytes of a step in addition to those before it, measured in another process; None where that was
    killed.
    """
    command = [sys.executable, "-m", "benchmarks.training", "--peak", name, form, str(batch)]
    done = subprocess.run([*command, "--threads", str(threads)], capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else None


def compare(name: str, batch: int, rounds: int, threads: int) -> dict[str, Any]:
    steps = pair(name, batch)
    times: dict[str, list[float]] = {form: [] for form in steps}
    # Processor time on one thread, since other work on the machine disturbs it least.
    clock = time.process_time if threads == 1 else time.perf_counter
    # Both compile or allocate in their first step. The first step of the slow broadcast form is timed
    # nevertheless.
    steps["ours"]()
    losses = {form: float(step()) for form, step in steps.items() if form == "ours"}
    for i in range(rounds):
        for form in (*steps,) if i % 2 else reversed((*steps,)):
            start = clock()
            losses[form] = float(steps[form]())
            times[form].append(clock() - start)
    ratios = [b / a for a, b in zip(times["ours"], times["broadcast"], strict=True)]
    return {
        "model": name,
        "batch": batch,
        "clock": clock.__name__,
        "seconds": {form: [round(t, 4) for t in values] for form, values in times.items()},
        "median_s": {form: round(statistics.median(values), 4) for form, values in times.items()},
        "ratio": round(statistics.median(times["broadcast"]) / statistics.median(times["ours"]), 2),
        "ratio_of_rounds": [round(min(ratios), 2), round(max(ratios), 2)],
        "peak_mib": {
            form: None if (peak := peak_of(name, form, batch, threads)) is None else round(peak / 2**20)
            for form in steps
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", default=",".join(BATCHES))
    parser.add_argument("--batch", type=int, help="in place of 128")
    parser.add_argument("--peak", nargs=3, metavar=("MODEL", "FORM", "BATCH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        name, form, batch = options.peak
        # Ours compiles its kernels in the first step.
        found = peak_bytes(pair(name, int(batch))[form], warm=form == "ours")
        if found is None:
            raise SystemExit("memory is measured on Linux with glibc only")
        print(found)
        return
    print(json.dumps({**environment(), "platform": platform.machine(), "load": os.getloadavg()[0]}))
    for name in options.models.split(","):
        batch = wanted = options.batch or BATCHES[name]
        difference = check_equal(name)
        free = available_bytes() or math.inf
        while LIVE * largest_tensor_bytes(name, batch) > 0.9 * free and batch > 1:
            batch //= 2
        if batch < wanted:
            print(
                f"{name}: the broadcast form needs about "
                f"{LIVE * largest_tensor_bytes(name, wanted) / 2**30:.1f} GiB at a batch of {wanted}, "
                f"{free / 2**30:.1f} GiB are free: compared at {batch}"
            )
        result = compare(name, batch, options.rounds, options.threads)
        print(json.dumps({**result, "gradients_differ_by": float(f"{difference:.2g}")}))
        seconds, peak = result["median_s"], result["peak_mib"]
        low, high = result["ratio_of_rounds"]
        print(
            f"{name}, batch {batch}: ours {seconds['ours']:.3f} s and {peak['ours']} MiB, broadcast "
            f"{seconds['broadcast']:.3f} s and {peak['broadcast']} MiB: {result['ratio']:.1f} times faster "
            f"({low:.1f} to {high:.1f} over {options.rounds} rounds)",
            flush=True,
        )


if __name__ == "__main__":
    main()
