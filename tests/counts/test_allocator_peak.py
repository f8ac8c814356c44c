"""The predicted peak of memory against what torch's allocator for the CPU gave out while the model ran.

The profiler reports each allocation and each release. Those inside a kernel count with their sum alone: what
a kernel allocates and releases again is its own scratch memory, which is not predicted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._pytree import tree_leaves

from addercost.api import trace_model
from addercost.counts.peak_memory import memory_of
from addercost.sources.loading import load_model

KERNELS = frozenset(
    f"aten::{name}"
    for name in (
        "mkldnn_convolution", "_slow_conv2d_forward", "slow_conv3d_forward", "convolution_backward", "mm",
        "bmm", "addmm", "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_flash_attention_for_cpu_backward",
    )
)  # fmt: skip
"""Operators whose kernels reorder their operands, or keep partial results, in memory of their own."""

TOLERANCE = 0.05


def allocated_at_most(run: Callable[[], Any]) -> int:
    """The largest sum of what was allocated and not yet released while `run` ran."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        result = run()
    del result
    assert profiled.profiler is not None and profiled.profiler.kineto_results is not None
    events = profiled.profiler.kineto_results.events()
    kernels = sorted((e.start_ns(), e.start_ns() + e.duration_ns()) for e in events if e.name() in KERNELS)
    starts = [start for start, _ in kernels]
    changes, inside = [], dict.fromkeys(range(len(kernels)), 0)
    for event in events:
        if event.name() == "[memory]":
            at = bisect_right(starts, event.start_ns()) - 1
            if at >= 0 and event.start_ns() <= kernels[at][1]:
                inside[at] += event.nbytes()
            else:
                changes.append((event.start_ns(), event.nbytes()))
    changes += [(kernels[at][1], n_bytes) for at, n_bytes in inside.items()]
    total = peak = 0
    for _, n_bytes in sorted(changes):
        total += n_bytes
        peak = max(peak, total)
    return peak


def step(model: nn.Module, x: Tensor, backward: bool) -> Any:
    if not backward:
        with torch.no_grad():
            return model(x)
    x.requires_grad_(True)
    ends = [end for end in tree_leaves(model(x)) if isinstance(end, Tensor) and end.requires_grad]
    torch.autograd.backward(ends, [torch.ones_like(end) for end in ends])
    return ends


def check(name: str, backward: bool, size: int) -> None:
    rebuild = load_model(f"torchvision:{name}").rebuild
    assert rebuild is not None
    model, x = rebuild().train(backward), torch.randn(2, 3, size, size)
    predicted = memory_of(trace_model(model, x, backward=backward, memory=True))
    assert predicted is not None
    around = predicted.weight_bytes + predicted.input_bytes
    given_out = allocated_at_most(lambda: step(model, x, backward))
    activations = predicted.peak_bytes - around
    assert activations == pytest.approx(given_out, rel=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "backward"), [("resnet18", False), ("mobilenet_v3_small", True)], ids=["inference", "training"]
)
def test_small_images(name: str, backward: bool) -> None:
    check(name, backward, 64)


NETWORKS = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet",
    "maxvit_t", "mnasnet1_0", "mobilenet_v2", "mobilenet_v3_large", "regnet_x_400mf", "regnet_y_400mf",
    "resnet18", "resnet50", "resnext50_32x4d", "shufflenet_v2_x1_0", "squeezenet1_1", "swin_t", "vgg11_bn",
    "vit_b_16",
)  # fmt: skip


def size_of(name: str) -> int:
    """Of an image: small where the network takes any."""
    return 224 if name in ("maxvit_t", "swin_t", "vit_b_16") else 128


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_inference_of_twenty_networks(name: str) -> None:
    check(name, False, size_of(name))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [*NETWORKS[::4], "vit_b_16"])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_training_of_some_networks(name: str) -> None:
    check(name, True, size_of(name))
