"""The share of a part's rates that networks reach."""

from __future__ import annotations

from dataclasses import dataclass

from addercost.hardware.vocabulary import Quality
from addercost.reading import NotNegative, Positive, Text, Whole


@dataclass(frozen=True, slots=True)
class Efficiency:
    """The shares of a part's rates that networks reach, and the seconds of a call: three numbers fitted to
    measured networks.

    run: the cost model that describes the mode of running. arithmetic_share: the reached share of the
    throughput of all cores. bandwidth_share: the reached share of the part's memory bandwidth. call_s:
    seconds that a kernel takes in addition to its work. spread: nine networks of ten take between 1/spread
    and spread times as long as estimated; None where that is not known. networks: the number of networks that
    were fitted.
    """

    run: Text
    arithmetic_share: Positive
    bandwidth_share: Positive
    call_s: NotNegative
    source: Text
    quality: Quality
    spread: Positive | None = None
    networks: Whole | None = None
