"""The table of what-if changes by name, and the reading of `--what-if` texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from addercost.counts.what_if.layer_calls import layer_indices
from addercost.errors import ArgumentError, unknown_name
from addercost.trace.record import OpCall, Trace

TraceChange = Callable[[Trace, frozenset[int], float], Trace]
"""From a trace, the indices of the layers to change, and the parameter, to the changed trace."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A change of the network. summary: one line for the help. parameter: what `=VALUE` means, or ""."""

    name: str
    summary: str
    change: TraceChange
    parameter: str = ""


ALTERNATIVES: dict[str, Alternative] = {}


def alternative(name: str, summary: str, parameter: str = "") -> Callable[[TraceChange], TraceChange]:
    """Registers the decorated function as the change of that name. A second one is an error."""

    def register(change: TraceChange) -> TraceChange:
        if name in ALTERNATIVES:
            raise ValueError(f"{name} is registered already")
        ALTERNATIVES[name] = Alternative(name, summary, change, parameter)
        return change

    return register


def parse(text: str) -> tuple[Alternative, float]:
    """`lowrank=0.25` → the alternative and 0.25. ArgumentError for an unknown name or a wrong value."""
    name, equals, value = text.partition("=")
    if name not in ALTERNATIVES:
        raise unknown_name("what-if", name, ALTERNATIVES)
    found = ALTERNATIVES[name]
    if not found.parameter:
        if equals:
            raise ArgumentError(f"what-if {name} takes no value", f"write it as {name}")
        return found, 0.0
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise ArgumentError(
            f"what-if {text!r} needs a {found.parameter} above 0 and up to 1", f"as {name}=0.5"
        )
    return found, number


def apply(trace: Trace, text: str, keep_first_last: bool = False) -> Trace:
    """The trace of the changed network; a note in it says what was changed.

    keep_first_last: the first and the last convolution or linear layer stay as they are.
    """
    found, value = parse(text)
    layers = layer_indices(trace)
    chosen = frozenset(layers[1:-1] if keep_first_last else layers)
    changed = found.change(trace, chosen, value)
    note = f"what if {text}: {found.summary}"
    # Neither the memory of the changed network is known, nor where in its calls a module's forward begins.
    calls = _numbered(changed.calls)
    return replace(changed, calls=calls, notes=(*changed.notes, note), storages=None, repeats=None)


def _numbered(calls: tuple[OpCall, ...]) -> tuple[OpCall, ...]:
    return tuple(call if call.index == i else replace(call, index=i) for i, call in enumerate(calls))
