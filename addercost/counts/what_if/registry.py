"""The table of what-if changes by name, and the parsing of `--what-if` arguments."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from addercost.counts.what_if.layer_calls import layer_indices
from addercost.errors import ArgumentError, unknown_name
from addercost.trace.record import OpCall, Trace

TraceChange = Callable[[Trace, frozenset[int], Any], Trace]
"""From a trace, the indices of the layers to change, and the parameter to the changed trace."""


def share(text: str, name: str, parameter: str) -> float:
    """The parameter of most changes, a number above 0 and up to 1. Raises ArgumentError for anything else."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise ArgumentError(
            f"what-if {f'{name}={text}' if text else name!r} needs a {parameter} above 0 and up to 1",
            f"as {name}=0.5",
        )
    return number


@dataclass(frozen=True, slots=True)
class Alternative:
    """A change of the network.

    summary: one line for the help. change: the function that makes it. parameter: what the value in
    `NAME=VALUE` means, or "". read: converts the parameter's text; it also gets the change's name and the
    parameter's meaning for its errors. example: the change as a user writes it.
    """

    name: str
    summary: str
    change: TraceChange
    parameter: str
    read: Callable[[str, str, str], Any]
    example: str


ALTERNATIVES: dict[str, Alternative] = {}


def alternative(
    name: str,
    summary: str,
    parameter: str = "",
    read: Callable[[str, str, str], Any] = share,
    example: str = "",
) -> Callable[[TraceChange], TraceChange]:
    """Registers the decorated function as the change of this name. Raises ValueError for a name that is
    taken.
    """

    def register(change: TraceChange) -> TraceChange:
        if name in ALTERNATIVES:
            raise ValueError(f"{name} is registered already")
        shown = example or (f"{name}=0.5" if parameter else name)
        ALTERNATIVES[name] = Alternative(name, summary, change, parameter, read, shown)
        return change

    return register


def parse(text: str) -> tuple[Alternative, Any]:
    """`lowrank=0.25` or `mixed:bits.toml` → the alternative and its parameter. Raises ArgumentError for an
    unknown name or an invalid value.
    """
    name = re.split("[=:]", text, maxsplit=1)[0]
    value = text[len(name) + 1 :]
    if name not in ALTERNATIVES:
        raise unknown_name("what-if", name, ALTERNATIVES)
    found = ALTERNATIVES[name]
    if found.parameter:
        return found, found.read(value, name, found.parameter)
    if name != text:
        raise ArgumentError(f"what-if {name} takes no value", f"write it as {name}")
    return found, None


def apply(trace: Trace, text: str, keep_first_last: bool = False) -> Trace:
    """The trace of the changed network, with a note that says what was changed.

    keep_first_last: the first and the last convolution or linear layer stay as they are. Raises ArgumentError
    as `parse` does, and where a change cannot be made in this trace.
    """
    found, value = parse(text)
    layers = layer_indices(trace)
    chosen = frozenset(layers[1:-1] if keep_first_last else layers)
    changed = found.change(trace, chosen, value)
    stays = "; gradients stay as they are" if any("backward" in call.tags for call in trace.calls) else ""
    note = f"what if {text}: {found.summary}{stays}"
    # Of the changed network we know neither the memory nor at which calls a module's forward begins.
    calls = _numbered(changed.calls)
    return replace(changed, calls=calls, notes=(*changed.notes, note), storages=None, repeats=None)


def _numbered(calls: tuple[OpCall, ...]) -> tuple[OpCall, ...]:
    return tuple(call if call.index == i else replace(call, index=i) for i, call in enumerate(calls))
