"""Backward passes of the layers: convolutions, normalisations, pooling, softmax, losses."""

from __future__ import annotations

import math
from dataclasses import replace

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.rules.convolution import convolution_sites
from addercost.counts.rules.pooling import adaptive_windows, window_size
from addercost.counts.rules.reductions import sum_counts
from addercost.counts.work import OperatorWork, Sites, accumulator_of
from addercost.trace.record import OpCall, TensorSpec


def _wanted(call: OpCall) -> tuple[bool, bool, bool]:
    """Which gradients are asked for: (input, weight, bias)."""
    mask = call.args.get("output_mask", (True, True, True))
    assert isinstance(mask, tuple)
    first, second, third = (bool(value) for value in (*mask, False)[:3])
    return first, second, third


@rule("aten.convolution_backward", "aten.convolution_backward_overrideable")
def convolution_backward(call: OpCall) -> OperatorWork:
    """g: [N, K, *P], x: [N, C, *H], w: [K, C/G, *R]: every site is used once for each gradient.

    ∂x[i] = Σ g·w over the sites that read x[i]; ∂w = Σ g·x over the sites that used w; ∂b = Σ g.
    """
    g, x, w = call.tensor("grad_output"), call.tensor("input"), call.tensor("weight")
    for_x, for_w, for_b = _wanted(call)
    count = convolution_sites(call, x, w, g)
    site = Sites(
        count=count,
        outputs=0,
        number_format=g.number_format,
        accumulator_format=accumulator_of(g.number_format),
    )
    sites = []
    if for_x:
        sites.append(replace(site, outputs=_reached(call, x, w) if count else 0))
    if for_w:
        sites.append(replace(site, outputs=min(w.numel, count)))
    other = sum_counts(g.numel, g.shape[1], g.number_format) if for_b and g.numel else OpCounts()
    return OperatorWork(tuple(sites), other)


def _reached(call: OpCall, x: TensorSpec, w: TensorSpec) -> int:
    """Elements of the padded input that at least one site reads. In a transposed convolution every input is
    read.
    """
    if call.args.get("transposed"):
        return x.numel
    stride, dilation = call.args["stride"], call.args["dilation"]
    assert isinstance(stride, tuple) and isinstance(dilation, tuple)
    reached = x.shape[0] * x.shape[1]
    p = call.shape("grad_output")[2:]
    for axis, (taps, out) in enumerate(zip(w.shape[2:], p, strict=True)):
        step, spread = stride[axis % len(stride)], dilation[axis % len(dilation)]
        assert isinstance(step, int) and isinstance(spread, int)
        reached *= len({i * step + tap * spread for i in range(out) for tap in range(taps)})
    return reached


@rule(
    "addercost.adder_conv2d_input_gradient",
    "addercost.adder_conv2d_weight_gradient",
)
def adder_gradient(call: OpCall) -> OperatorWork:
    """Σ g·(x - w) for the weight, Σ g·HardTanh(w - x) for the input: each site has a difference and a MAC,
    and for the input also two compares. Where `gradient` is "sign", both take the sign of the difference
    instead: two compares and a subtraction."""
    g, x, w = call.tensor("grad"), call.tensor("input"), call.tensor("weight")
    count = g.numel * math.prod(w.shape[1:])
    sign = call.args.get("gradient") == "sign"
    clamped = sign or "input" in call.name
    reached = _reached_of_geometry(call, x, w, g) if "input" in call.name else min(w.numel, count)
    site = Sites(
        count=count,
        outputs=min(reached, count),
        number_format=g.number_format,
        accumulator_format=accumulator_of(g.number_format),
    )
    return OperatorWork(
        (site,),
        OpCounts.of(g.number_format, add=count * (1 + sign), compare=2 * count if clamped else 0),
    )


def _reached_of_geometry(call: OpCall, x: TensorSpec, w: TensorSpec, g: TensorSpec) -> int:
    as_convolution = OpCall(call.op, "", {**call.args, "grad_output": g}, (), 0)
    return _reached(as_convolution, x, w)


@rule("aten.native_batch_norm_backward", "aten.cudnn_batch_norm_backward", "aten.batch_norm_backward")
def batch_norm_backward(call: OpCall) -> OperatorWork:
    """g, x: [N, C, …], m elements in a channel. With the statistics of the batch: Σg; x̂ = (x - mean)·r;
    Σg·x̂; ∂x = (g - Σg/m - x̂·Σ(g·x̂)/m)·(γ·r). ∂β and ∂γ are the two sums. With running statistics only ∂x =
    g·(γ·r).
    """
    g = call.tensor("grad_out" if "grad_out" in call.args else "grad_output")
    channels = g.shape[1] if len(g.shape) > 1 else 1
    for_x, for_w, for_b = _wanted(call)
    scaled = channels if call.optional_tensor("weight") else 0
    n, number_format = g.numel, g.number_format
    if not n:
        return OperatorWork()
    sums = OpCounts()
    trains = bool(call.args.get("train", True))
    if for_w or (for_x and trains):
        sums += OpCounts.of(number_format, add=n + (n - channels), mul=2 * n)
    if for_b or (for_x and trains):
        sums += OpCounts.of(number_format, add=n - channels)
    if not trains:
        inverse = OpCounts.of(number_format, add=channels, sqrt=channels, divide=channels)
        each = OpCounts.of(number_format, mul=n + scaled) if for_x else OpCounts()
        return OperatorWork(other=sums + inverse + each)
    if for_x:
        sums += OpCounts.of(number_format, divide=2 * channels, mul=2 * n + scaled, add=2 * n)
    return OperatorWork(other=sums)


@rule("aten.native_layer_norm_backward")
def layer_norm_backward(call: OpCall) -> OperatorWork:
    """g, x: [rows…, n]. h = g·γ; x̂ = (x - mean)·r; for each row ∂x = (h - Σh/n - x̂·Σ(h·x̂)/n)·r; ∂γ = Σ
    g·x̂ and ∂β = Σ g over rows."""
    x, normalized = call.tensor("input"), call.args["normalized_shape"]
    assert isinstance(normalized, tuple)
    n = math.prod(size for size in normalized if isinstance(size, int))
    return _rows_backward(call, x, x.numel // max(n, 1), n)


@rule("aten.native_group_norm_backward")
def group_norm_backward(call: OpCall) -> OperatorWork:
    """x: [N, C, …] in G groups: N·G rows as in layer norm; ∂γ and ∂β sum over all axes but the channels."""
    x, groups = call.tensor("input"), call.args["group"]
    assert isinstance(groups, int)
    rows = x.shape[0] * groups if x.numel else 0
    return _rows_backward(call, x, rows, x.shape[1])


def _rows_backward(call: OpCall, x: TensorSpec, rows: int, parameters: int) -> OperatorWork:
    """The work for `rows` rows of equal length, where γ and β have `parameters` elements each."""
    for_x, for_w, for_b = _wanted(call)
    e, number_format = x.numel, x.number_format
    if not e:
        return OperatorWork()
    scale = call.optional_tensor("weight")
    counts = OpCounts.of(number_format, add=e, mul=e)  # x̂
    if for_x:
        counts += OpCounts.of(
            number_format,
            mul=(e if scale else 0) + e + e + e,
            add=(e - rows) * 2 + 2 * e,
            divide=2 * rows,
        )
    if for_w and scale:
        counts += OpCounts.of(number_format, mul=e, add=e - parameters)
    if for_b and scale:
        counts += OpCounts.of(number_format, add=e - parameters)
    return OperatorWork(other=counts)


@rule("aten._fused_rms_norm_backward")
def rms_norm_backward(call: OpCall) -> OperatorWork:
    """h = g·γ; x̂ = x·r; for each row ∂x = (h - x̂·Σ(h·x̂)/n)·r; ∂γ = Σ g·x̂ over rows."""
    x, normalized = call.tensor("input"), call.args["normalized_shape"]
    assert isinstance(normalized, tuple)
    n = math.prod(size for size in normalized if isinstance(size, int))
    e, rows = x.numel, x.numel // max(n, 1)
    scaled = e if call.optional_tensor("weight") else 0
    return OperatorWork(
        other=OpCounts.of(
            x.number_format,
            mul=e + scaled + 3 * e + scaled,
            add=(e - rows) + e + (e - n if scaled else 0),
            divide=rows,
        )
    )


@rule("aten._softmax_backward_data")
def softmax_backward(call: OpCall) -> OperatorWork:
    """Rows of n: y·(g - Σ g·y)."""
    g = call.tensor("grad_output")
    rows = _rows(call, g)
    return OperatorWork(other=OpCounts.of(g.number_format, mul=2 * g.numel, add=2 * g.numel - rows))


@rule("aten._log_softmax_backward_data")
def log_softmax_backward(call: OpCall) -> OperatorWork:
    """Rows of n: g - exp(y)·Σ g."""
    g = call.tensor("grad_output")
    rows = _rows(call, g)
    return OperatorWork(
        other=OpCounts.of(g.number_format, mul=g.numel, add=2 * g.numel - rows, transcendental=g.numel)
    )


def _rows(call: OpCall, g: TensorSpec) -> int:
    dim = call.args["dim"]
    assert isinstance(dim, int)
    n = g.shape[dim] if g.shape else 1
    return g.numel // n if n else 0


@rule(
    "aten.max_pool2d_with_indices_backward",
    "aten.max_pool3d_with_indices_backward",
    "aten.adaptive_max_pool2d_backward",
    "aten.adaptive_max_pool3d_backward",
    "aten.fractional_max_pool2d_backward",
    "aten.fractional_max_pool3d_backward",
    "aten.embedding_dense_backward",
)
def scatter_backward(call: OpCall) -> OperatorWork:
    """Each gradient is added to the element that the forward copied."""
    g = call.tensor("grad_output")
    return OperatorWork(other=OpCounts.of(g.number_format, add=g.numel))


@rule("aten.avg_pool2d_backward", "aten.avg_pool3d_backward")
def avg_pool_backward(call: OpCall) -> OperatorWork:
    """Each gradient is divided by its window's k and added to k elements."""
    g = call.tensor("grad_output")
    k = window_size(call)
    return OperatorWork(other=OpCounts.of(g.number_format, divide=g.numel, add=g.numel * k))


@rule("aten._adaptive_avg_pool2d_backward", "aten._adaptive_avg_pool3d_backward")
def adaptive_avg_pool_backward(call: OpCall) -> OperatorWork:
    """As `avg_pool_backward`, with windows of different sizes."""
    g, x = call.tensor("grad_output"), call.tensor("self")
    elements = adaptive_windows(x.shape, g.shape, int(call.name.rpartition("pool")[2][0]))
    return OperatorWork(other=OpCounts.of(g.number_format, divide=g.numel, add=elements))


@rule(
    "aten.upsample_nearest1d_backward",
    "aten.upsample_nearest2d_backward",
    "aten.upsample_nearest3d_backward",
    "aten._upsample_nearest_exact1d_backward",
    "aten._upsample_nearest_exact2d_backward",
    "aten._upsample_nearest_exact3d_backward",
)
def nearest_backward(call: OpCall) -> OperatorWork:
    """Each gradient is added to the element that the forward copied."""
    g = call.tensor("grad_output")
    return OperatorWork(other=OpCounts.of(g.number_format, add=g.numel))


@rule(
    "aten.upsample_linear1d_backward",
    "aten.upsample_bilinear2d_backward",
    "aten.upsample_trilinear3d_backward",
    "aten.upsample_bicubic2d_backward",
)
def interpolation_backward(call: OpCall) -> OperatorWork:
    """Along each axis in turn a gradient is spread over 2 taps (4 for bicubic): a product and an addition for
    each.
    """
    g = call.tensor("grad_output")
    axes, taps = len(g.shape) - 2, 4 if "bicubic" in call.name else 2
    products = g.numel * sum(taps**axis for axis in range(1, axes + 1))
    return OperatorWork(other=OpCounts.of(g.number_format, mul=products, add=g.numel * taps**axes))


@rule("aten.nll_loss_backward", "aten.nll_loss2d_backward")
def nll_loss_backward(call: OpCall) -> OperatorWork:
    """-g at the target of every row, divided by the number of rows for a mean, and multiplied by the class's
    weight if there are weights.
    """
    rows = call.tensor("target").numel
    x = call.tensor("self")
    mean = call.args.get("reduction", 1) == 1
    weighted = rows if call.optional_tensor("weight") else 0
    return OperatorWork(
        other=OpCounts.of(x.number_format, add=rows, mul=weighted, divide=rows if mean else 0)
    )


@rule("aten._cdist_backward")
def cdist_backward(call: OpCall) -> OperatorWork:
    """x1: [B…, n, k], x2: [B…, m, k]: Σ over m of g·d(|x1 - x2|)/dx1. For p = 1 the derivative is the sign of
    the difference, otherwise a power of its magnitude divided by a power of the distance."""
    # torch 2.15 calls it grad_output.
    g, x = call.tensor("grad" if "grad" in call.args else "grad_output"), call.tensor("x1")
    sites = g.numel * x.shape[-1]
    number_format = x.number_format
    gradient = OpCounts.of(number_format, mul=sites, add=2 * sites)
    match call.args.get("p"):
        case 1 | 1.0:
            return OperatorWork(other=gradient + OpCounts.of(number_format, compare=2 * sites, add=sites))
        case 2 | 2.0:
            return OperatorWork(other=gradient + OpCounts.of(number_format, divide=g.numel))
    power = OpCounts.of(number_format, abs=sites, transcendental=sites, mul=sites)
    return OperatorWork(
        other=gradient + power + OpCounts.of(number_format, transcendental=g.numel, divide=g.numel)
    )


@rule("aten._prelu_kernel_backward")
def prelu_backward(call: OpCall) -> OperatorWork:
    """∂x = g or g·w and ∂w = 0 or g·x, by the sign of x: one compare and two products for each element."""
    x = call.tensor("self")
    return OperatorWork(other=OpCounts.of(x.number_format, compare=1, mul=2) * x.numel)


@rule(
    "aten.select_backward",
    "aten.slice_backward",
    "aten.diagonal_backward",
    "aten.unfold_backward",
    "aten.value_selecting_reduction_backward",
    "aten.trace_backward",
)
def placed(call: OpCall) -> OperatorWork:
    """A copy of the gradient into zeros. Where windows overlap (unfold), gradients are added up."""
    g = call.tensor("grad_in" if "grad_in" in call.args else next(iter(call.args)))
    overlaps = max(g.numel - call.output.numel, 0) if "unfold" in call.name else 0
    return OperatorWork(other=OpCounts.of(g.number_format, add=overlaps))


@rule("aten.col2im")
def fold(call: OpCall) -> OperatorWork:
    """columns: [N, C·|R|, L]: each element is one addition to the image, also the first at a pixel."""
    x = call.tensor("self")
    return OperatorWork(other=OpCounts.of(x.number_format, add=x.numel))
