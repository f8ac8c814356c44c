"""torchvision's operators: deformable convolution, pooling of regions of interest, and non-maximum
suppression.

Arithmetic on indices, such as where a window starts, is not counted. Rounding down is an addition.
"""

from __future__ import annotations

import math

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.rules.ordering import merge_sort_compares
from addercost.counts.work import OperatorWork, Sites, accumulator_of
from addercost.trace.record import SAMPLED_LINES, SAMPLES, OpCall, TensorSpec


@rule("torchvision.deform_conv2d")
def deform_conv2d(call: OpCall) -> OperatorWork:
    """x: [N, C, H, W], w: [K, C/G, R, S], offset: [N, 2·O·R·S, P, Q], mask: [N, O·R·S, P, Q]; out: [N, K, P,
    Q]: a convolution whose taps are interpolated between pixels.

    Each of the N·O·R·S·P·Q places adds its offset to two coordinates, rounds both down, takes both remainders
    and their complements, and multiplies these to four weights. Each of the N·C·R·S·P·Q taps is a sum of four
    products, times its mask if there is one.
    """
    x, w, out = call.tensor("input"), call.tensor("weight"), call.output
    offset = call.tensor("offset")
    places = offset.numel // 2
    taps = x.shape[0] * x.shape[1] * math.prod(w.shape[2:]) * math.prod(offset.shape[-2:])
    masked = taps if call.args.get("use_mask") else 0
    number_format = x.number_format
    site = Sites(
        count=out.numel * math.prod(w.shape[1:]),
        outputs=out.numel,
        biased=out.numel if call.optional_tensor("bias") else 0,
        inputs=x.numel,
        number_format=number_format,
        accumulator_format=accumulator_of(number_format),
        weighted=w.role in ("parameter", "derived"),
    )
    return OperatorWork(
        (site,),
        OpCounts.of(number_format, add=8 * places + 3 * taps, mul=4 * places + 4 * taps + masked),
    )


@rule("torchvision._deform_conv2d_backward")
def deform_conv2d_backward(call: OpCall) -> OperatorWork:
    """Shapes as in `deform_conv2d`, grad as out: ∂w = grad·columnsᵀ and ∂columns = wᵀ·grad, each with as many
    sites as the forward; ∂bias sums grad.

    The four weights of each place are computed again. Each tap is interpolated again (four products, three
    sums, its mask). ∂columns times the mask gives four products, which are added to ∂x. Times the derivative
    of the interpolation along either axis (two differences, two products, one sum) it gives one addition to
    ∂offset for each axis. ∂columns times the interpolated value is added to ∂mask.
    """
    grad, x, w, offset = (call.tensor(name) for name in ("grad", "input", "weight", "offset"))
    places = offset.numel // 2
    taps = x.shape[0] * x.shape[1] * math.prod(w.shape[2:]) * math.prod(offset.shape[-2:])
    masked = taps if call.args.get("use_mask") else 0
    number_format, sites = x.number_format, grad.numel * math.prod(w.shape[1:])
    accumulator_format = accumulator_of(number_format)
    return OperatorWork(
        tuple(
            Sites(sites, n, number_format=number_format, accumulator_format=accumulator_format)
            for n in (w.numel, taps)
        ),
        OpCounts.of(
            number_format,
            mul=4 * places + (4 + 4 + 2 * 3) * taps + 3 * masked,
            add=8 * places + (3 + 4 + 2 * (3 + 1)) * taps + masked + grad.numel - w.shape[0],
        ),
    )


@rule("torchvision.roi_align", "torchvision.ps_roi_align")
def roi_align(call: OpCall) -> OperatorWork | None:
    """rois: [K, 5], out: [K, C, P, Q]: each output is the mean of s·s values between pixels. Where s is not
    given it follows from the size of each box: the sides of a bin, rounded up. Boxes with unknown values are
    then not counted.

    Each box: four coordinates are scaled, and moved by half a pixel if aligned; two sides are computed, at
    least 1 long unless aligned; then two sides of a bin. Each of the s·P and s·Q coordinates of samples in a
    box: start + bin·i + (j + ½)·bin/s, limited to at least 0, rounded down, its remainder and complement.
    Each of the s²·P·Q samples in a box: four weights, and a sum of four products for each channel. In
    position-sensitive pooling every box is moved, and its sides are at least 0.1 long.
    """
    out, number_format = call.output, call.tensor("input").number_format
    sampled = _sampled(call, out)
    if sampled is None:
        return None
    samples = sampled[0] * out.shape[1]
    return OperatorWork(
        other=_sampled_places(call, out, *sampled)
        + OpCounts.of(number_format, mul=4 * samples, add=max(4 * samples - out.numel, 0), divide=out.numel)
    )


@rule("torchvision._roi_align_backward", "torchvision._ps_roi_align_backward")
def roi_align_backward(call: OpCall) -> OperatorWork | None:
    """grad: [K, C, P, Q]: the same places as in `roi_align`; each gradient is divided by its s·s samples, and
    each sample adds four products with it to pixels.
    """
    grad = call.tensor("grad")
    sampled = _sampled(call, grad)
    if sampled is None:
        return None
    samples = sampled[0] * grad.shape[1]
    return OperatorWork(
        other=_sampled_places(call, grad, *sampled)
        + OpCounts.of(grad.number_format, mul=4 * samples, add=4 * samples, divide=grad.numel)
    )


def _sampled(call: OpCall, pooled: TensorSpec) -> tuple[int, int] | None:
    """(samples in one channel of all boxes, rows and columns on which they are). None where these follow from
    boxes with unknown values. pooled: [K, C, P, Q].
    """
    s, boxes, (p, q) = call.args["sampling_ratio"], pooled.shape[0], pooled.shape[-2:]
    assert isinstance(s, int)
    if s > 0:
        return boxes * s * s * p * q, boxes * s * (p + q)
    samples, lines = call.args.get(SAMPLES), call.args.get(SAMPLED_LINES)
    return (samples, lines) if isinstance(samples, int) and isinstance(lines, int) else None


def _sampled_places(call: OpCall, pooled: TensorSpec, samples: int, lines: int) -> OpCounts:
    """The operations that compute where the samples of all boxes are, and their weights."""
    boxes = pooled.shape[0]
    by_size = SAMPLES in call.args
    sensitive = "ps_" in call.name
    moved = sensitive or bool(call.args.get("aligned"))
    bounded = sensitive or not moved
    number_format = pooled.number_format
    box = OpCounts.of(
        number_format,
        mul=4,
        add=(4 if moved else 0) + 2 + (2 if by_size else 0),
        compare=2 if bounded else 0,
        divide=2,
    )
    along = OpCounts.of(number_format, mul=2, divide=1, add=5, compare=1)
    weights = OpCounts.of(number_format, mul=4)
    return box * boxes + along * lines + weights * samples


@rule("torchvision.roi_pool", "torchvision.ps_roi_pool", "torchvision._ps_roi_pool_backward")
def pooled_regions(call: OpCall) -> OperatorWork | None:
    """Not counted: how many pixels a bin has follows from the boxes' sizes, which are values and not
    shapes.
    """
    return None


@rule("torchvision._roi_pool_backward")
def roi_pool_backward(call: OpCall) -> OperatorWork:
    """grad: [K, C, P, Q]: each gradient is added to the pixel that was the largest of its bin."""
    grad = call.tensor("grad")
    return OperatorWork(other=OpCounts.of(grad.number_format, add=grad.numel))


@rule("torchvision.nms")
def suppression(call: OpCall) -> OperatorWork:
    """dets: [n, 4], scores: [n]: the n boxes are sorted by score, and in the worst case each is compared with
    every one before it.

    An area takes two differences and a product. A pair of boxes takes the four corners of its intersection
    (the larger or the smaller of two), two sides of at least 0, its area, the division by the sum of both
    areas minus the intersection, and a comparison.
    """
    boxes = call.tensor("dets")
    n, number_format = boxes.shape[0], boxes.number_format
    pairs = n * (n - 1) // 2
    return OperatorWork(
        other=OpCounts.of(
            number_format,
            compare=merge_sort_compares(n) + 7 * pairs,
            add=2 * n + 4 * pairs,
            mul=n + pairs,
            divide=pairs,
        )
    )
