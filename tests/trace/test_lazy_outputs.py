"""Work that a forward returns without having done it is done and counted, or makes a lower bound."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from addercost.counts.model import ModelCounts, count
from addercost.errors import TraceError
from addercost.trace import lazy_outputs
from addercost.trace.reuse.tracer import trace_blocks
from addercost.trace.tracer import trace

X = torch.ones(4, 8)
ONE = 4 * 8 * 16
"""Sites of a linear layer of 8 × 16 on four rows."""


@dataclass
class Output:
    made: Any


class Batches:
    """Computes its items when they are asked for."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer

    def __iter__(self) -> Iterator[Tensor]:
        return map(self.layer, [X, X])


class Lazy(nn.Module):
    def __init__(self, run: Callable[[nn.Module, Tensor], Any], unused: bool = False) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 16)
        self.run = run
        if unused:
            self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Any:
        return self.run(self.layer, x)


class Generating(Lazy):
    def forward(self, x: Tensor) -> Iterator[Tensor]:
        for _ in range(3):
            yield self.layer(x)


class Awaited(Lazy):
    async def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Streaming(Lazy):
    async def forward(self, x: Tensor) -> AsyncIterator[Tensor]:
        for _ in range(2):
            yield self.layer(x)


def thrice(layer: nn.Module, x: Tensor) -> Iterator[Tensor]:
    return (layer(x) for _ in range(3))


RUN_TO_THEIR_END = {
    "a generator": (thrice, 3),
    "a map": (lambda layer, x: map(layer, [x, x]), 2),
    "a chain": (lambda layer, x: itertools.chain(map(layer, [x]), thrice(layer, x)), 4),
    "a generator in a dict": (lambda layer, x: {"computed": layer(x), "lazy": thrice(layer, x)}, 4),
    "a map in a tuple in a list": (lambda layer, x: [(x, map(layer, [x, x]))], 2),
    "a generator of generators": (lambda layer, x: (thrice(layer, x) for _ in range(2)), 6),
    "an attribute": (lambda layer, x: SimpleNamespace(made=thrice(layer, x)), 3),
    "a field": (lambda layer, x: Output(thrice(layer, x)), 3),
    "a class of the user's": (lambda layer, x: Batches(layer), 2),
    "zip and filter": (lambda layer, x: zip(filter(lambda _: True, map(layer, [x])), [1], strict=True), 1),
    "computed at once": (lambda layer, x: [layer(x), {"none": None}, 3], 1),
}


def counted(model: nn.Module, **options: Any) -> ModelCounts:
    return count(trace(model, X, **options), "macs")


@pytest.mark.parametrize("name", RUN_TO_THEIR_END)
def test_iterators_are_run_to_their_end(name: str) -> None:
    run, times = RUN_TO_THEIR_END[name]
    counts = counted(Lazy(run))
    assert (counts.mac_sites, counts.complete) == (times * ONE, True)
    (blocks,) = trace_blocks(Lazy(run), [((X,), {})])
    assert count(blocks.trace(), "macs").mac_sites == times * ONE


@pytest.mark.parametrize(("model", "times"), [(Generating, 3), (Awaited, 1), (Streaming, 2)])
def test_forwards_that_are_generators_or_coroutines(model: type[Lazy], times: int) -> None:
    counts = counted(model(thrice))
    assert (counts.mac_sites, counts.complete) == (times * ONE, True)


def test_gradients_of_what_was_lazy() -> None:
    """Each of three products has two gradients of as many sites, that of the weight and that of the input."""
    assert counted(Generating(thrice), backward=True).mac_sites == 9 * ONE


class Scaled(Generating):
    def forward(self, x: Tensor) -> Iterator[Tensor]:
        for made in super().forward(x):
            yield made * 2


def test_work_of_a_generator_belongs_to_its_module() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Scaled(thrice)

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack(list(self.inner(x)))

    calls = [call for call in trace(Outer(), X).calls if call.name == "aten.mul"]
    assert [call.module for call in calls] == ["inner"] * 3


@pytest.mark.parametrize(
    ("run", "unused", "complete"),
    [
        pytest.param(lambda layer, x: lambda: layer(x), False, False, id="a function that does the work"),
        pytest.param(lambda layer, x: [layer(x), lambda: 1], False, True, id="a function, all layers ran"),
        pytest.param(lambda layer, x: {"a": layer(x), "b": lambda: 1}, True, False, id="a layer did not run"),
        pytest.param(lambda layer, x: layer(x), True, True, id="a layer did not run, nothing lazy"),
    ],
)
def test_a_count_is_complete_only_if_nothing_was_left_undone(
    run: Callable[..., Any], unused: bool, complete: bool
) -> None:
    counts = counted(Lazy(run, unused))
    assert counts.complete is complete
    assert [op.op for op in counts.uncounted] == ([] if complete else ["addercost.lazy_output"])


def test_an_iterator_without_an_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_outputs, "_MOST_ITEMS", 5)
    counts = counted(Lazy(lambda layer, x: (layer(x) for _ in itertools.count())))
    assert (counts.mac_sites, counts.complete) == (5 * ONE, False)


class Indexed:
    """A sequence without `__iter__` that computes its items when they are asked for."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Tensor:
        if index >= len(self):
            raise IndexError(index)
        made: Tensor = self.layer(X)
        return made


class Asked:
    """Runs its module only when the caller asks it to."""

    __slots__ = ("layer",)

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer

    def run(self) -> Tensor:
        made: Tensor = self.layer(X)
        return made


def test_a_sequence_by_index_is_run() -> None:
    counts = count(trace(Lazy(lambda layer, x: Indexed(layer)), X))
    assert counts.complete and counts.mac_sites == 2 * ONE


def test_an_object_with_a_module_that_did_not_run_makes_a_lower_bound() -> None:
    assert not count(trace(Lazy(lambda layer, x: Asked(layer)), X)).complete
    ran = count(trace(Lazy(lambda layer, x: (layer(x), Asked(layer))), X))
    assert ran.complete and ran.mac_sites == ONE


def test_promises_of_other_threads_are_refused() -> None:
    def run(layer: nn.Module, x: Tensor) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return [pool.submit(layer, x)]

    with pytest.raises(TraceError, match="another thread"):
        trace(Lazy(run), X)
