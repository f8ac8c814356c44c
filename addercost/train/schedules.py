"""The learning rate of each epoch."""

from __future__ import annotations

import math

from addercost.train.settings import RateSchedule

POLY_POWER = 0.9


def learning_rate(schedule: RateSchedule, base: float, epoch: int, epochs: int) -> float:
    """The rate of `epoch`, counted from 0. cosine: base·(1 + cos(π·epoch/epochs))/2; poly: base·(1 -
    epoch/epochs)^0.9.

    Source: AdderNet was trained with both, with the polynomial in Chen et al., CVPR 2020, and with the cosine
    in the authors' code.
    """
    progress = epoch / epochs
    match schedule:
        case RateSchedule.COSINE:
            return base * (1 + math.cos(math.pi * progress)) / 2
        case RateSchedule.POLY:
            return float(base * (1 - progress) ** POLY_POWER)
        case RateSchedule.CONSTANT:
            return base
