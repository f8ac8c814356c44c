"""Counts summed in two more ways: by operator, and by module with everything inside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from addercost.arithmetic import OpCounts


@dataclass(frozen=True, slots=True)
class OperatorCounts:
    """All calls of one operator.

    op: the operator without its overload, "aten.convolution". counted: whether a rule counts it; without one,
    `counts` and `mac_sites` are 0.
    """

    op: str
    calls: int
    counts: OpCounts
    mac_sites: int
    bytes_read: int
    bytes_written: int
    counted: bool


@dataclass(frozen=True, slots=True)
class ModuleCounts:
    """One module and everything inside it. path: such as "layer1.0"; the model itself has the path ""."""

    path: str
    counts: OpCounts
    mac_sites: int
    parameters: int
    bytes_read: int
    bytes_written: int


class LayerRow(Protocol):
    """What `by_module` needs of a row: the counts of the calls that the module at `path` made itself."""

    @property
    def path(self) -> str: ...
    @property
    def counts(self) -> OpCounts: ...
    @property
    def mac_sites(self) -> int: ...
    @property
    def parameters(self) -> int: ...
    @property
    def bytes_read(self) -> int: ...
    @property
    def bytes_written(self) -> int: ...


def by_module(layers: Iterable[LayerRow]) -> tuple[ModuleCounts, ...]:
    """One row for each layer and for each module around it. Each module comes before those inside it, and
    modules of one parent are in the order in which they first ran. The first row is the whole model."""
    own: dict[str, list[LayerRow]] = {"": []}
    inside: dict[str, list[str]] = {"": []}
    for layer in layers:
        outer = ""
        for path in _around(layer.path):
            if path not in own:
                own[path], inside[path] = [], []
                inside[outer].append(path)
            outer = path
        own[layer.path].append(layer)
    order, waiting = [], [""]
    # A stack instead of recursion, because modules can be nested more deeply than Python's own stack.
    while waiting:
        order.append(waiting.pop())
        waiting.extend(reversed(inside[order[-1]]))
    rows: dict[str, ModuleCounts] = {}
    for path in reversed(order):
        rows[path] = _summed(path, [*own[path], *(rows[inner] for inner in inside[path])])
    return tuple(rows[path] for path in order)


def _around(path: str) -> Iterator[str]:
    """The paths of the modules around a module, from the outermost inwards, then its own: "a", "a.b" for
    "a.b".
    """
    end = path.find(".")
    while end >= 0:
        yield path[:end]
        end = path.find(".", end + 1)
    if path:
        yield path


def _summed(path: str, parts: Sequence[LayerRow]) -> ModuleCounts:
    return ModuleCounts(
        path,
        counts=OpCounts.sum(part.counts for part in parts),
        mac_sites=sum(part.mac_sites for part in parts),
        parameters=sum(part.parameters for part in parts),
        bytes_read=sum(part.bytes_read for part in parts),
        bytes_written=sum(part.bytes_written for part in parts),
    )
