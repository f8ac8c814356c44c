"""Another arithmetic in every layer: adder, binary, shift, …, or multiplications back."""

from __future__ import annotations

from dataclasses import replace

from addercost.arithmetic import Arithmetic
from addercost.counts.arithmetics import ARITHMETIC_TAG, DEFINITIONS
from addercost.counts.what_if.layer_calls import activation_products
from addercost.counts.what_if.registry import TraceChange, alternative
from addercost.trace.record import OpCall, Trace


def tagged(call: OpCall, arithmetic: Arithmetic) -> OpCall:
    """The call with a tag that names the arithmetic in which it is counted. It replaces an earlier
    such tag.
    """
    kept = tuple(tag for tag in call.tags if not tag.startswith(ARITHMETIC_TAG))
    return replace(call, tags=(*kept, ARITHMETIC_TAG + arithmetic.value))


def _changer(arithmetic: Arithmetic) -> TraceChange:
    def change(trace: Trace, layers: frozenset[int], value: float) -> Trace:
        """The same sites, each in the new arithmetic; see `addercost.counts.arithmetics`."""
        changed = layers
        if DEFINITIONS[arithmetic].of_activations:
            changed |= frozenset(activation_products(trace))
        return replace(
            trace,
            calls=tuple(
                tagged(call, arithmetic) if i in changed else call for i, call in enumerate(trace.calls)
            ),
        )

    return change


for _definition in DEFINITIONS.values():
    alternative(_definition.arithmetic.value, _definition.summary)(_changer(_definition.arithmetic))
