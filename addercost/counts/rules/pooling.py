"""Pooling: k - 1 compares or additions for a window of k, and a division for an average."""

from __future__ import annotations

import math

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall


def window_size(call: OpCall) -> int:
    """Elements of a window. If one size is given, it is the size along every axis; the operator's name has
    the number of axes.
    """
    kernel = call.args["kernel_size"]
    sizes = kernel if isinstance(kernel, tuple) else (kernel,)
    whole = [size for size in sizes if isinstance(size, int)]
    axes = next(int(character) for character in call.name if character.isdigit())
    return whole[0] ** axes if len(whole) == 1 else math.prod(whole)


@rule(
    "aten.max_pool1d",
    "aten.max_pool2d",
    "aten.max_pool3d",
    "aten.max_pool1d_with_indices",
    "aten.max_pool2d_with_indices",
    "aten.max_pool3d_with_indices",
    "aten.mkldnn_max_pool2d",
    "aten.mkldnn_max_pool3d",
    "aten.quantized_max_pool1d",
    "aten.quantized_max_pool2d",
    "aten.quantized_max_pool3d",
    "aten.fractional_max_pool2d",
    "aten.fractional_max_pool3d",
)
def max_pool(call: OpCall) -> OperatorWork:
    """Windows of k, padding included: k - 1 compares for each output."""
    out = call.output
    return OperatorWork(
        other=OpCounts.of(out.number_format, compare=out.numel * max(window_size(call) - 1, 0))
    )


@rule("aten.avg_pool1d", "aten.avg_pool2d", "aten.avg_pool3d")
def avg_pool(call: OpCall) -> OperatorWork:
    """Windows of k, padding included: k - 1 additions and a division for each output."""
    out = call.output
    k = window_size(call)
    return OperatorWork(other=OpCounts.of(out.number_format, add=out.numel * max(k - 1, 0), divide=out.numel))


@rule("aten._adaptive_avg_pool2d", "aten._adaptive_avg_pool3d", "aten.adaptive_avg_pool1d")
def adaptive_avg_pool(call: OpCall) -> OperatorWork:
    """Output i of P covers ⌊i·H/P⌋ to ⌈(i+1)·H/P⌉ along each axis; a window of k takes k - 1 additions and a
    division."""
    windows, elements = call.output.numel, _elements(call)
    return OperatorWork(other=OpCounts.of(call.output.number_format, add=elements - windows, divide=windows))


@rule("aten.adaptive_max_pool2d", "aten.adaptive_max_pool3d", "aten.adaptive_max_pool1d")
def adaptive_max_pool(call: OpCall) -> OperatorWork:
    """Windows as in `adaptive_avg_pool`; one of k elements takes k - 1 compares."""
    elements = _elements(call)
    return OperatorWork(other=OpCounts.of(call.output.number_format, compare=elements - call.output.numel))


def _elements(call: OpCall) -> int:
    size = call.args["output_size"]
    axes = len(size) if isinstance(size, tuple) else 1
    return adaptive_windows(call.shape("self"), call.output.shape, axes)


def adaptive_windows(x: tuple[int, ...], out: tuple[int, ...], axes: int) -> int:
    """Elements of all windows together. Output i of P covers ⌊i·H/P⌋ to ⌈(i+1)·H/P⌉ along each axis."""
    elements = math.prod(out[:-axes])
    for h, p in zip(x[-axes:], out[-axes:], strict=True):
        elements *= sum(-(-(i + 1) * h // p) - i * h // p for i in range(p))
    return elements
