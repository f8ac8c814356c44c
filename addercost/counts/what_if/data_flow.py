"""Which call made a tensor and which calls read it."""

from __future__ import annotations

from collections import defaultdict

from addercost.errors import ArgumentError
from addercost.trace.record import TensorSpec, Trace

_RETURNED = -1


class DataFlow:
    """Which call made each tensor, and which calls read it. An in-place operator reads a tensor and makes it
    again.

    Raises ArgumentError for a training step, because a trace does not show all reads of its gradients, and
    for a trace that does not say which of its tensors are the same.
    """

    def __init__(self, trace: Trace, change: str) -> None:
        if any("backward" in call.tags for call in trace.calls):
            raise ArgumentError(
                f"what-if {change} is for inference, and this is a training step",
                "leave --backward out",
            )
        self._maker: dict[tuple[int, int], int] = {}
        self._readers: dict[tuple[int, int], list[int]] = defaultdict(list)
        last: dict[int, int] = {}
        for index, call in enumerate(trace.calls):
            read = {spec.number for spec in call.tensors()}
            for number in read & last.keys():
                self._maker[index, number] = last[number]
                self._readers[last[number], number].append(index)
            for spec in call.outputs:
                if spec.number in last and spec.number not in read:
                    raise _unknown(trace, change)
                if spec.number:
                    last[spec.number] = index
        if trace.calls and not last:
            raise _unknown(trace, change)
        for number in set(trace.returned) & last.keys():
            self._readers[last[number], number].append(_RETURNED)

    def maker(self, index: int, spec: TensorSpec) -> int | None:
        """The index of the call that made `spec` as call `index` reads it."""
        return self._maker.get((index, spec.number))

    def is_read(self, index: int, spec: TensorSpec) -> bool:
        """Whether a call reads `spec` as call `index` made it, or the network returns it."""
        return bool(self._readers.get((index, spec.number)))

    def only_reader(self, index: int, spec: TensorSpec) -> int | None:
        """The index of the only call that reads `spec` as call `index` made it. None if several calls or none
        read it, or if the network returns it.
        """
        readers = self._readers.get((index, spec.number), ())
        return readers[0] if len(readers) == 1 and readers[0] != _RETURNED else None


def _unknown(trace: Trace, change: str) -> ArgumentError:
    return ArgumentError(
        f"what-if {change} has to know which call reads which tensor, and this trace of {trace.model} does "
        "not say so",
        "trace the model again, without --tracer blocks",
    )
