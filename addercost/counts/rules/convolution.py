"""Convolutions of any dimension: plain, grouped, depthwise, dilated, transposed."""

from __future__ import annotations

import math

from addercost.counts.registry import rule
from addercost.counts.rules.matmul import of_stored
from addercost.counts.work import OperatorWork, Sites, accumulator_of
from addercost.trace.record import OpCall, TensorSpec


@rule("aten.convolution", "aten._convolution", "aten.convolution_overrideable")
def convolution(call: OpCall) -> OperatorWork:
    """x: [N, C, *H], w: [K, C/G, *R], out: [N, K, *P]: N·K·|P| sums of C/G·|R| products.

    Transposed, w: [C, K/G, *R]: each of the N·C·|H| inputs is multiplied by K/G·|R| weights.
    """
    x, w, out = call.tensor("input"), call.tensor("weight"), call.output
    sites = convolution_sites(call, x, w, out)
    outputs = _reached(call) if call.args.get("transposed") else out.numel
    return OperatorWork(
        sites=(
            Sites(
                count=sites,
                outputs=outputs if sites else 0,
                biased=out.numel if call.optional_tensor("bias") else 0,
                inputs=x.numel,
                number_format=x.number_format,
                accumulator_format=accumulator_of(x.number_format),
                weighted=w.role in ("parameter", "derived"),
            ),
        )
    )


def convolution_sites(call: OpCall, x: TensorSpec, w: TensorSpec, out: TensorSpec) -> int:
    """The number of pairs of an input and a weight; shapes as in `convolution`."""
    return of_stored((x if call.args.get("transposed") else out).numel * math.prod(w.shape[1:]), w)


def _reached(call: OpCall) -> int:
    """The number of sums of a transposed convolution before cropping: positions to which at least one tap
    adds.

    Along one axis, input i and tap r add to output i·stride + r·dilation. A stride larger than the kernel
    leaves gaps.
    """
    (n, _, *h), (_, k_per_group, *r) = call.shape("input"), call.shape("weight")
    stride, dilation, groups = call.args["stride"], call.args["dilation"], call.args["groups"]
    assert isinstance(stride, tuple) and isinstance(dilation, tuple) and isinstance(groups, int)
    reached = n * k_per_group * groups
    for axis, (size, taps) in enumerate(zip(h, r, strict=True)):
        step, spread = _along(stride, axis), _along(dilation, axis)
        reached *= len({i * step + tap * spread for i in range(size) for tap in range(taps)})
    return reached


def _along(values: tuple[object, ...], axis: int) -> int:
    value = values[axis if len(values) > 1 else 0]
    assert isinstance(value, int)
    return value


@rule("aten.conv_tbc")
def convolution_over_time(call: OpCall) -> OperatorWork:
    """x: [T, B, C], w: [R, C, K], bias: [K], out: [P, B, K]: P·B·K sums of R·C products and a bias."""
    x, w, out = call.tensor("self"), call.tensor("weight"), call.output
    sites = out.numel * math.prod(w.shape[:2])
    return OperatorWork(
        sites=(
            Sites(
                count=sites,
                outputs=out.numel if sites else 0,
                biased=out.numel,
                inputs=x.numel,
                number_format=x.number_format,
                accumulator_format=accumulator_of(x.number_format),
                weighted=w.role in ("parameter", "derived"),
            ),
        )
    )
