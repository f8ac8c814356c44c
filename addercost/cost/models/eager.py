"""A network as torch runs it, operator by operator, on all cores of a part."""

from __future__ import annotations

from addercost.cost.effective_rates import effective_model

MODEL = effective_model(
    name="eager",
    description="on all cores, at the rates that measured networks reach: its arithmetic, plus its bytes, "
    "plus a time for each operator, run one by one",
    run_of=lambda moved: moved.eager,
)
