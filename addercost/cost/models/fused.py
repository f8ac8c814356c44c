"""A network as a compiler runs it, element-wise operators computed within others, on all cores of a part."""

from __future__ import annotations

from addercost.cost.effective_rates import effective_model

MODEL = effective_model(
    name="fused",
    description="the same for a compiled network, in which element-wise operators start no kernel and move "
    "no operand again",
    run_of=lambda moved: moved.fused,
)
