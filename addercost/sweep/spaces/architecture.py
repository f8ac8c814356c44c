"""One member of a space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

Fact = float | int | str | None


@dataclass(frozen=True, slots=True)
class Architecture:
    """A named network. `make` builds it; `inputs(batch)` are its forward's positional and keyword arguments.

    facts: further columns of its rows, such as `{"accuracy": 93.1}`. stand_ins: whether a submodule that is
    registered at several places stands for one module with its own weights at each place; the forward calls
    it at these places in the order of registration. make_whole: builds the network with all of its weights,
    if `make` does not.
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: Callable[[int], tuple[tuple[Any, ...], Mapping[str, Any]]]
    facts: Mapping[str, Fact] = field(default_factory=dict)
    stand_ins: bool = False
    make_whole: Callable[[], nn.Module] | None = None
