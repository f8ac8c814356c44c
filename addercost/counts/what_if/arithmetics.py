"""Another arithmetic in every layer: adder, binary, shift, or multiplications back."""

from __future__ import annotations

from dataclasses import replace

from addercost.arithmetic import Arithmetic
from addercost.counts.arithmetics import ARITHMETIC_TAG
from addercost.counts.what_if.registry import TraceChange, alternative
from addercost.trace.record import OpCall, Trace

_SUMMARIES = {
    Arithmetic.MAC: "layers multiply and add",
    Arithmetic.ADDER: "layers subtract, take the absolute value and add (Chen et al., CVPR 2020)",
    Arithmetic.XNOR: "layers xnor signs and count bits (Rastegari et al., ECCV 2016)",
    Arithmetic.SHIFT: "layers shift and add (Elhoushi et al., CVPRW 2021)",
}


def tagged(call: OpCall, arithmetic: Arithmetic) -> OpCall:
    """The call with a tag that has it counted in another arithmetic, in place of such a tag it may have."""
    kept = tuple(tag for tag in call.tags if not tag.startswith(ARITHMETIC_TAG))
    return replace(call, tags=(*kept, ARITHMETIC_TAG + arithmetic.value))


def _changer(arithmetic: Arithmetic) -> TraceChange:
    def change(trace: Trace, layers: frozenset[int], value: float) -> Trace:
        """The same sites, each in the new arithmetic; see `addercost.counts.arithmetics`."""
        return replace(
            trace,
            calls=tuple(
                tagged(call, arithmetic) if i in layers else call for i, call in enumerate(trace.calls)
            ),
        )

    return change


for _arithmetic, _summary in _SUMMARIES.items():
    alternative(_arithmetic.value, _summary)(_changer(_arithmetic))
