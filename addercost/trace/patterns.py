"""Finds hand-written adder and binary layers in plain torch by what they compute, and records each as one
call.

A hand-written adder layer subtracts weights from inputs over a broadcast, takes magnitudes, sums them and
negates: -Σ|x - w|. A binary layer is a convolution or matrix product of two tensors of signs.

Two calls share a tensor if they have the same TensorSpec object: the recorder makes one for each tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from addercost.trace.record import ArgValue, OpCall, TensorSpec

RECOGNISED = "recognised"
"""Tag of a call that replaces several calls, or whose operands were found to be signs."""

_WEIGHT_ROLES = ("parameter", "derived")
_TRIGGERS = frozenset(
    ("aten.abs", "aten.abs_", "aten._cdist_forward", "aten.linalg_vector_norm", "aten.norm")
)
_SIGNS = frozenset(("aten.sign", "aten.sgn", "aten.sign_", "aten.sgn_"))
_PRODUCTS = frozenset(("aten.convolution", "aten.mm", "aten.bmm", "aten.addmm"))
_NEVER_NEGATIVE = frozenset(
    f"aten.{name}{end}" for name in ("relu", "relu6", "abs", "sigmoid", "exp", "square") for end in ("", "_")
)
_SAME_NUMBERS = frozenset(
    f"aten.{name}" for name in ("clone", "contiguous", "_to_copy", "im2col", "cat", "_unsafe_view", "copy")
)


def may_be_recognised(name: str) -> bool:
    """Whether calls of that operator can be part of a hand-written layer."""
    return name in _TRIGGERS or name in _SIGNS


def recognised(calls: Sequence[OpCall]) -> tuple[OpCall, ...]:
    """The calls, with a single call in place of those of each hand-written adder or binary layer.

    Calls keep their indices. The call of a layer has the index of the layer's last call.
    """
    if not any(may_be_recognised(name) for name in {call.name for call in calls}):
        return tuple(calls)
    flow = _DataFlow(calls)
    replaced: dict[int, OpCall | None] = {}
    for index, call in enumerate(calls):
        found = flow.adder_layer(index)
        if found is not None:
            last, dropped, layer = found
            replaced.update(dict.fromkeys(dropped))
            replaced[last] = layer
        elif call.name in _PRODUCTS and flow.multiplies_signs(call):
            replaced[index] = replace(call, tags=(*call.tags, RECOGNISED, "binary"))
    if not replaced:
        return tuple(calls)
    kept = (replaced.get(index, call) for index, call in enumerate(calls))
    return tuple(call for call in kept if call is not None)


class _DataFlow:
    """Which calls read each tensor, and which tensors contain only signs."""

    def __init__(self, calls: Sequence[OpCall]) -> None:
        self.calls = calls
        self.readers: dict[int, list[int]] = {}
        self.signs: dict[int, int | None] = {}
        self.non_negative: set[int] = set()
        self.constants: dict[int, ArgValue] = {}
        for index, call in enumerate(calls):
            for spec in call.tensors():
                self.readers.setdefault(id(spec), []).append(index)
            self._follow_signs(call)

    def next_reader(self, spec: TensorSpec, after: int) -> int | None:
        """The index of the next call after `after` that reads `spec`, or None."""
        later = [index for index in self.readers.get(id(spec), ()) if index > after]
        return later[0] if later else None

    def adder_layer(self, index: int) -> tuple[int, list[int], OpCall] | None:
        """(call to replace, calls to drop, the layer) if an adder layer begins at this call; else None."""
        call = self.calls[index]
        if call.name == "aten._cdist_forward" and call.args.get("p") == 1:
            pair = call.tensor("x1"), call.tensor("x2")
            sites = call.output.numel * pair[0].shape[-1] if pair[0].shape else 0
            return self._negated(index, [], pair, sites)
        if call.name not in ("aten.sub", "aten.rsub") or call.args.get("alpha", 1) != 1:
            return None
        a, b = call.args.get("self"), call.args.get("other")
        if not isinstance(a, TensorSpec) or not isinstance(b, TensorSpec):
            return None
        difference = call.output
        # Only over a broadcast. A difference of equal shapes is a loss or a residual, not a layer.
        if difference.numel <= max(a.numel, b.numel):
            return None
        magnitude = self.next_reader(difference, index)
        if magnitude is None:
            return None
        reader = self.calls[magnitude]
        if reader.name in ("aten.linalg_vector_norm", "aten.norm") and _order(reader) == 1:
            return self._negated(magnitude, [index], (a, b), difference.numel)
        if reader.name not in ("aten.abs", "aten.abs_"):
            return None
        dropped, before = [index, magnitude], False
        summed = self.next_reader(reader.output, magnitude)
        if summed is not None and self.calls[summed].name in ("aten.neg", "aten.neg_"):
            dropped, before = [*dropped, summed], True
            summed = self.next_reader(self.calls[summed].output, summed)
        if summed is None or self.calls[summed].name != "aten.sum":
            return None
        if before:
            return self._layer(summed, dropped, (a, b), difference.numel, negated=True)
        return self._negated(summed, dropped, (a, b), difference.numel)

    def _negated(
        self, last: int, dropped: list[int], pair: tuple[TensorSpec, TensorSpec], sites: int
    ) -> tuple[int, list[int], OpCall] | None:
        """As `_layer`, including the negation that may follow the sum, possibly after views."""
        at: int | None = last
        for _ in range(4):
            at = self.next_reader(self.calls[at].output, at) if at is not None else None
            if at is None:
                break
            call = self.calls[at]
            if call.name in ("aten.neg", "aten.neg_") or (
                call.name in ("aten.mul", "aten.mul_") and call.args.get("other") == -1
            ):
                if at == self.next_reader(self.calls[last].output, last):
                    return self._layer(at, [*dropped, last], pair, sites, negated=True)
                # Views are between the sum and its negation. The layer replaces the sum, and the negation is
                # dropped.
                return self._layer(last, [*dropped, at], pair, sites, negated=True)
            if "view" not in call.tags:
                break
        return self._layer(last, dropped, pair, sites, negated=False)

    def _layer(
        self, last: int, dropped: list[int], pair: tuple[TensorSpec, TensorSpec], sites: int, negated: bool
    ) -> tuple[int, list[int], OpCall] | None:
        a, b = pair
        if (a.role in _WEIGHT_ROLES) == (b.role in _WEIGHT_ROLES):
            return None  # A distance between two activations is not a layer.
        weight, x = (a, b) if a.role in _WEIGHT_ROLES else (b, a)
        final = self.calls[last]
        args: dict[str, ArgValue] = {"input": x, "weight": weight, "sites": sites, "negated": negated}
        return (
            last,
            dropped,
            OpCall(
                "addercost.adder_pairs.default", final.module, args, final.outputs[:1], last, (RECOGNISED,)
            ),
        )

    def multiplies_signs(self, call: OpCall) -> bool:
        """Whether all values of both factors are +1 or -1. A weight's values may also have one factor for
        each filter.
        """
        factors = [spec for spec in call.tensors() if len(spec.shape) >= 2][:2]
        if call.name == "aten.addmm":
            factors = [call.tensor("mat1"), call.tensor("mat2")]
        weighted = any(spec.role in _WEIGHT_ROLES for spec in factors)
        return weighted and len(factors) == 2 and all(self.signs.get(id(f), 0) is None for f in factors)

    def _follow_signs(self, call: OpCall) -> None:
        """Records the tensors of signs. The entry is None for a tensor of nothing but signs, and the id of x
        for sign(x) - x, which gives signs again when x is added.

        sign(0) is 0, so the sign of a tensor that is never negative does not count: half of its values may be
        0.
        """
        if call.name == "aten.scalar_tensor" and call.outputs:
            self.constants[id(call.output)] = call.args.get("s")
        first = next(iter(call.tensors()), None)
        if first is None or not call.outputs:
            return
        key, out = id(first), id(call.output)
        if call.name in _NEVER_NEGATIVE or ("view" in call.tags and key in self.non_negative):
            self.non_negative.add(out)
        elif call.name in _SIGNS:
            if key not in self.non_negative:
                self.signs[out] = None
        elif call.name == "aten.where" and self._choices(call) == {1, -1}:
            self.signs[out] = None
        elif "view" in call.tags or call.name in _SAME_NUMBERS or call.name == "aten.detach":
            if key in self.signs:
                self.signs[out] = self.signs[key]
        elif call.name in ("aten.sub", "aten.add", "aten.mul"):
            self._follow_arithmetic(call, out)

    def _choices(self, call: OpCall) -> set[ArgValue]:
        values = (call.args.get("self"), call.args.get("other"))
        return {self.constants.get(id(v)) if isinstance(v, TensorSpec) else v for v in values}

    def _follow_arithmetic(self, call: OpCall, out: int) -> None:
        a, b = call.args.get("self"), call.args.get("other")
        if not isinstance(a, TensorSpec) or not isinstance(b, TensorSpec):
            return
        for signs, other in ((a, b), (b, a)):
            known = self.signs.get(id(signs), 0)
            if call.name == "aten.sub" and known is None and signs is a:
                self.signs[out] = id(other)
            elif (call.name == "aten.add" and known == id(other)) or (
                call.name == "aten.mul"
                and known is None
                and signs.role in _WEIGHT_ROLES
                and other.numel <= (signs.shape[0] if signs.shape else 1)
            ):
                self.signs[out] = None


def _order(call: OpCall) -> object:
    return call.args.get("ord", call.args.get("p", 2))
