"""torchvision's operators: deformable convolution, pooling of regions of interest, and suppression of boxes.

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
    """x: [N, C, H, W], w: [K, C/G, R, S], offset: [N, 2·O·R·S, P, Q], mask: [N, O·R·S, P, Q]; out:
    [N, K, P, Q]: a convolution whose taps are read between pixels.

    A place (of N·O·R·S·P·Q) adds its offset to two coordinates, rounds both down, takes both remainders and
    their complements, and multiplies these to four weights. A tap (of N·C·R·S·P·Q) is a sum of four products,
    times its mask if there is one.
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
    """Shapes as in `deform_conv2d`, grad as out: ∂w = grad·columnsᵀ and ∂columns = wᵀ·grad, as many sites
    each as in the forward; ∂bias sums grad.

    A place has its four weights again. A tap is read again (four products, three sums, its mask). ∂columns,
    times the mask, gives four products that are added to ∂x; and, times the derivative of the reading along
    either axis (two differences, two products, one sum), one addition to ∂offset for each. ∂mask adds
    ∂columns times what was read.
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
    given the boxes' sizes decide it: each rounds the sides of a bin up. Boxes without values are not counted.

    A box: four coordinates scaled, moved by half a pixel if aligned; two sides, else at least 1 long; two
    sides of a bin. A coordinate of samples (s·P and s·Q a box): start + bin·i + (j + ½)·bin/s, kept above 0,
    rounded down, its remainder and complement. A sample (s²·P·Q a box): four weights; a sum of four products
    a channel. With position-sensitive pooling every box is moved, and its sides are at least 0.1 long.
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
    """grad: [K, C, P, Q]: the same places as in `roi_align`; each gradient divided by its s·s samples, and
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
    """(places that are read of one channel of all boxes, heights and widths at which they are); None where
    the boxes decide it and have no values. pooled: [K, C, P, Q].
    """
    s, boxes, (p, q) = call.args["sampling_ratio"], pooled.shape[0], pooled.shape[-2:]
    assert isinstance(s, int)
    if s > 0:
        return boxes * s * s * p * q, boxes * s * (p + q)
    samples, lines = call.args.get(SAMPLES), call.args.get(SAMPLED_LINES)
    return (samples, lines) if isinstance(samples, int) and isinstance(lines, int) else None


def _sampled_places(call: OpCall, pooled: TensorSpec, samples: int, lines: int) -> OpCounts:
    """Where the samples in the bins of all boxes are, and their weights."""
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
    """The boxes' sizes, which are values, decide how many pixels a bin has, so nothing is known."""
    return None


@rule("torchvision._roi_pool_backward")
def roi_pool_backward(call: OpCall) -> OperatorWork:
    """grad: [K, C, P, Q]: each is added to the pixel that was its bin's largest."""
    grad = call.tensor("grad")
    return OperatorWork(other=OpCounts.of(grad.number_format, add=grad.numel))


@rule("torchvision.nms")
def suppression(call: OpCall) -> OperatorWork:
    """dets: [n, 4], scores: [n]: n boxes by score, in the worst case each compared with every one before.

    An area: two differences and a product. A pair: four corners of the common box (the larger and the
    smaller), two sides of at least 0, its area, over the sum of both areas less itself, compared.
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
