"""torchvision's operators: deformable convolution, pooling of regions of interest, and suppression of boxes.

Arithmetic on indices, such as where a window starts, is not counted. Rounding down is an addition.
"""

from __future__ import annotations

import math

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.rules.ordering import merge_sort_compares
from addercost.counts.work import OperatorWork, Sites, accumulator_of
from addercost.trace.record import OpCall


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


@rule("torchvision.roi_align", "torchvision.ps_roi_align")
def roi_align(call: OpCall) -> OperatorWork | None:
    """rois: [K, 5], out: [K, C, P, Q]: each output is the mean of s·s values between pixels. Where s is not
    given the boxes' sizes decide it, so nothing is known.

    A box: four coordinates scaled, moved by half a pixel if aligned; two sides, else at least 1 long; two
    sides of a bin. A coordinate of samples (s·P and s·Q a box): start + bin·i + (j + ½)·bin/s, kept above 0,
    rounded down, its remainder and complement. A sample (s²·P·Q a box): four weights; a sum of four products
    a channel. With position-sensitive pooling every box is moved, and its sides are at least 0.1 long.
    """
    s = call.args["sampling_ratio"]
    assert isinstance(s, int)
    if s <= 0:
        return None
    out, number_format = call.output, call.tensor("input").number_format
    boxes, channels, p, q = out.shape
    sensitive = "ps_" in call.name
    moved = sensitive or bool(call.args.get("aligned"))
    bounded = sensitive or not moved
    coordinates, places = boxes * s * (p + q), boxes * s * s * p * q
    samples = places * channels
    box = OpCounts.of(
        number_format, mul=4, add=(4 if moved else 0) + 2, compare=2 if bounded else 0, divide=2
    )
    along = OpCounts.of(number_format, mul=2, divide=1, add=5, compare=1)
    return OperatorWork(
        other=box * boxes
        + along * coordinates
        + OpCounts.of(
            number_format,
            mul=4 * places + 4 * samples,
            add=4 * samples - out.numel,
            divide=out.numel,
        )
    )


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
