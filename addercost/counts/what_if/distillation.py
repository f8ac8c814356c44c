"""Knowledge distillation."""

from __future__ import annotations

from addercost.counts.what_if.registry import alternative
from addercost.trace.record import Trace


@alternative("distillation", "changes what the network learns, not what it costs: nothing changes here")
def distillation(trace: Trace, layers: frozenset[int], value: float) -> Trace:
    """The same trace. A smaller student is another model, so profile that one. Source: Hinton et al.,
    2015.
    """
    return trace
