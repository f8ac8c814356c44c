"""Counts a torch call by its rule and by a loop over counting numbers, and asserts that both are equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from addercost.api import trace_model
from addercost.arithmetic import OpCounts
from addercost.counts.call_work import work_of
from addercost.counts.conventions import CONVENTIONS
from addercost.trace.record import OpCall, Trace
from tests.counts.scalar import SITES, Array, numbers, values

Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass
class Case:
    """function(*tensors) is what torch runs; loop(*arrays) does the same one scalar at a time.

    loop returns an array of the first output's shape, or None where only the count is compared.
    reference: computes the expected value where the function itself only runs on a GPU.
    whole: the call as another tracer writes it, for an operator that torch takes apart before we see it.
    """

    function: Callable[..., Any]
    tensors: tuple[Tensor, ...]
    loop: Callable[..., Array]
    tolerance: float = 1e-9
    whole: OpCall | None = None
    reference: Callable[..., Tensor] | None = None


class Function(nn.Module):
    """A function as a module, because models are what gets traced."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def traced(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Trace:
    return trace_model(Function(function), *args, kwargs=kwargs)


def counted(calls: tuple[OpCall, ...], convention: str = "full") -> OpCounts:
    """The sum over calls, each of which must have a rule."""
    parts = []
    for call in calls:
        work = work_of(call)
        assert work is not None, f"{call.op} has no rule"
        parts.append(CONVENTIONS[convention].counts(call, work))
    return OpCounts.sum(parts)


def check(case: Case) -> set[str]:
    """Asserts equal counts, equal sites and equal values; returns the operators that were traced."""
    tally: Counter[str] = Counter()
    result = case.loop(*(numbers(tensor, tally) for tensor in case.tensors))
    sites = tally.pop(SITES, 0)
    made = traced(case.function, *case.tensors)
    by_class = {name: n for name, n in counted(made.calls).by_class().items() if n}
    assert by_class == {name: n for name, n in tally.items() if n}
    assert sum(work.mac_sites for call in made.calls if (work := work_of(call))) == sites
    for_sites = counted(made.calls, "macs")
    assert for_sites.total == 2 * sites
    if result is not None:
        with torch.no_grad():
            expected = (case.reference or case.function)(*case.tensors)
        expected = expected[0] if isinstance(expected, tuple | list) else expected
        found = values(result, expected.dtype)
        torch.testing.assert_close(found, expected, rtol=case.tolerance, atol=case.tolerance, equal_nan=True)
    if case.whole is not None:
        assert counted((case.whole,)) == counted(made.calls)
        return {case.whole.name}
    return {call.name for call in made.calls}


MakeCase = Callable[[Draw], Case]
CASES: dict[str, tuple[MakeCase, tuple[str, ...]]] = {}


def case(*operators: str) -> Callable[[MakeCase], MakeCase]:
    """Registers a drawn case as the oracle of `operators`, named without their overload."""

    def register(make: MakeCase) -> MakeCase:
        name = f"{make.__module__.rpartition('.')[2]}.{make.__name__}"
        assert name not in CASES, name
        CASES[name] = (make, operators)
        return make

    return register


def sizes(low: int = 1, high: int = 3) -> st.SearchStrategy[int]:
    return st.integers(low, high)


def shapes(low_rank: int = 1, high_rank: int = 3, low: int = 1) -> st.SearchStrategy[list[int]]:
    return st.lists(sizes(low), min_size=low_rank, max_size=high_rank)


def normal(*shape: int) -> Tensor:
    """Random numbers in double precision. Shrinking is for shapes; values only have to differ."""
    return torch.randn(shape, dtype=torch.float64)


def positive(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64) + 0.5
