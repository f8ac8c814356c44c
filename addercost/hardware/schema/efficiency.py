"""What runs of networks reach of what a part can do."""

from __future__ import annotations

from dataclasses import dataclass

from addercost.hardware.vocabulary import Quality
from addercost.reading import NotNegative, Positive, Text, Whole


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What runs of networks reach of what a part can do: three numbers, fitted on measured networks.

    run: the cost model whose runs they were. arithmetic_share: of the throughput of all cores;
    bandwidth_share: of the part's memory bandwidth; call_s: seconds that a kernel takes beside its work.
    spread: nine networks of ten take between 1/spread and spread times the estimate, None where that is not
    known. networks: how many they were fitted on.
    """

    run: Text
    arithmetic_share: Positive
    bandwidth_share: Positive
    call_s: NotNegative
    source: Text
    quality: Quality
    spread: Positive | None = None
    networks: Whole | None = None
