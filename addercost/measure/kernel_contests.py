"""Predicts a contest's ratio from timed kernels: each side's layers are predicted as that side runs them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from addercost.cost.cost_model import Seconds
from addercost.cost.models import calibrated
from addercost.cost.target import Target
from addercost.cost.verdict import Contest, PredictedRatio
from addercost.counts.kernel_calls import KernelCall
from addercost.measure.case import CaseUse
from addercost.measure.contenders.choice import contenders, reference_of
from addercost.measure.contenders.contender import Contender
from addercost.measure.contests import IMPLEMENTATIONS
from addercost.measure.kernel_times.contender_kernels import kernel_of

CPU = torch.device("cpu")


def kernel_ratio(
    uses: Sequence[CaseUse], contest: Contest, target: Target, keep_first_last: bool
) -> PredictedRatio:
    """The predicted time of the vendor's convolutions / that of the other side's layers.

    uses: the layers of the network. keep_first_last: both sides use the vendor's convolutions for the first
    and last layer. The target's kernels must have been timed with the layout and caches of the timings that
    the ratio is compared with. The interval assumes that the errors of the two sides are independent.
    """
    (own,) = (
        made
        for made in contenders(CPU, (contest.arithmetic,), (contest.number_format,))
        if made.implementation == IMPLEMENTATIONS[contest.name]
    )
    reference = reference_of(own, CPU)
    assert reference is not None
    last = max((position for use in uses for position in use.positions), default=0)
    ours: list[KernelCall] = []
    theirs: list[KernelCall] = []
    for use in uses:
        kernels = _kernel(own, use), _kernel(reference, use)
        kept = sum(position in (0, last) for position in use.positions) if keep_first_last else 0
        ours += [kernels[0]] * (len(use.positions) - kept) + [kernels[1]] * kept
        theirs += [kernels[1]] * len(use.positions)
    assert calibrated.MODEL.predict is not None
    sides = calibrated.MODEL.predict(target, [theirs, ours])
    missing = next((figure for lacking in sides.missing for figure in lacking), "")
    first, other = sides.shares
    if missing or not other.value:
        return PredictedRatio(target.name, calibrated.MODEL.name, None, missing or "no layer was changed")
    ratio, spread = first.value / other.value, math.exp(math.hypot(_half_width(first), _half_width(other)))
    return PredictedRatio(
        target.name,
        calibrated.MODEL.name,
        ratio,
        seconds=(first.value, other.value),
        interval=(ratio / spread, ratio * spread),
        notes=sides.notes,
    )


def _kernel(contender: Contender, use: CaseUse) -> KernelCall:
    kernel = kernel_of(contender, use.case)
    assert kernel is not None, f"no calibration times {contender.label}"
    return kernel


def _half_width(seconds: Seconds) -> float:
    """Half the width of a time's interval, in the logarithm."""
    return math.log(seconds.high / seconds.low) / 2
