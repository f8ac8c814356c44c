"""One model at several batch sizes: two are traced, and the others are derived from these where that is
exact.

A number in a trace (a size, an argument, bytes) is constant in the batch size, proportional to it, or
neither. Two traces show which. If no number is neither, the trace at any other batch size follows. The two
are traced at the smallest and the largest size, so that a number which changes anywhere between differs in
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from addercost.trace.record import OpCall, Storage, TensorSpec, Trace

_SAME = frozenset(
    ("index", "number", "made", "freed", "returned", "repeats", "versions", "parameters", "name")
)
"""Fields that count or name calls and tensors. They must be equal in both traces."""


@dataclass(frozen=True, slots=True)
class BatchTraces:
    """traces: by batch size, in the order asked for. how: a sentence that says which of them were made by
    running the model, and why.
    """

    traces: Mapping[int, Trace]
    how: str


class NotProportionalError(Exception):
    """A number of the two traces is neither constant nor proportional to the batch size. The message says
    which.
    """


def traces_of_batches(sizes: Sequence[int], traced: Callable[[int], Trace]) -> BatchTraces:
    """The traces of a model at each batch size. traced: runs the model at one batch size."""
    order, reason = sorted(sizes), ""
    made: dict[int, Trace] = {}
    followed: list[int] = []
    while order:
        made |= {size: traced(size) for size in {order[0], order[-1]} - made.keys()}
        between = order[1:-1]
        try:
            made |= {
                size: derived(made[order[0]], order[0], made[order[-1]], order[-1], size) for size in between
            }
        except NotProportionalError as error:
            # Many operators treat a batch of one specially. Two larger batch sizes may still agree.
            reason = reason or str(error)
            order = order[1:]
        else:
            followed = between
            break
    how = (
        f"batch sizes {_listed([size for size in sizes if size not in followed])} were traced, and "
        f"{_listed(followed)} derived: every number of the traces is constant or proportional to the batch"
        if followed
        else "every batch size was traced"
    )
    if reason:
        how += f"; the others could not be derived, because {reason}" if followed else f", because {reason}"
    return BatchTraces({size: made[size] for size in sizes}, how)


def derived(first: Trace, first_size: int, second: Trace, second_size: int, size: int) -> Trace:
    """The trace at batch size `size`, from those at two other sizes. Raises NotProportionalError."""
    for trace in (first, second):
        if trace.tracer == "real":
            raise NotProportionalError("the forward reads values, which may decide its sizes")
    return _Line(first_size, second_size, size).trace(first, second)


@dataclass(frozen=True, slots=True)
class _Line:
    """The batch sizes of two traces, and the wanted one."""

    first: int
    second: int
    wanted: int

    def trace(self, a: Trace, b: Trace) -> Trace:
        if len(a.calls) != len(b.calls):
            raise NotProportionalError(
                f"batch {self.first} makes {len(a.calls):,} calls and batch {self.second} {len(b.calls):,}"
            )
        calls = tuple(map(self.call, a.calls, b.calls))
        rest = self.at(replace(a, calls=()), replace(b, calls=()), "the trace")
        made: Trace = replace(rest, calls=calls)
        return made

    def call(self, a: OpCall, b: OpCall) -> OpCall:
        if a is b or a == b:
            return a
        made: OpCall = self.at(a, b, f"{a.name} in {a.module or 'the model'}")
        return made

    def at(self, a: Any, b: Any, where: str) -> Any:
        """The value at the wanted batch size. where: the place in the trace, for the error's message."""
        if type(a) is not type(b):
            raise NotProportionalError(f"{where} differs in kind")
        if isinstance(a, int) and not isinstance(a, bool):
            return self.number(a, b, where)
        if isinstance(a, tuple) and len(a) == len(b):
            return tuple(self.at(one, two, where) for one, two in zip(a, b, strict=True))
        if isinstance(a, Mapping) and a.keys() == b.keys():
            return {key: self.at(one, b[key], f"{key} of {where}") for key, one in a.items()}
        if is_dataclass(a) and isinstance(a, TensorSpec | OpCall | Storage | Trace):
            changed = {}
            for field in fields(a):
                one, two = getattr(a, field.name), getattr(b, field.name)
                if one != two:
                    if field.name in _SAME:
                        what = (
                            "the call after which memory is freed"
                            if isinstance(a, Storage)
                            else f"{field.name} of {where}"
                        )
                        raise NotProportionalError(f"{what} differs")
                    changed[field.name] = self.at(one, two, where)
            return replace(a, **changed) if changed else a
        if a != b:
            raise NotProportionalError(f"{where} is {a} at batch {self.first} and {b} at batch {self.second}")
        return a

    def number(self, a: int, b: int, where: str) -> int:
        if a == b:
            return a
        if a * self.second == b * self.first and a * self.wanted % self.first == 0:
            return a * self.wanted // self.first
        raise NotProportionalError(
            f"a number of {where} is neither constant nor proportional to the batch: {a:,} at batch "
            f"{self.first}, {b:,} at batch {self.second}"
        )


def _listed(sizes: Sequence[int]) -> str:
    *others, last = map(str, sizes)
    return f"{', '.join(others)} and {last}" if others else last
