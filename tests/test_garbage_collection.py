"""Where Python does not search for reference cycles."""

import gc
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from addercost.garbage_collection import without_garbage_collection
from addercost.trace.tracer import trace


@pytest.fixture(autouse=True)
def _collector_on() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


@pytest.mark.parametrize("before", (True, False), ids=("on", "off"))
def test_after_the_block_the_collector_is_as_it_was(before: bool) -> None:
    if not before:
        gc.disable()
    with without_garbage_collection():
        assert not gc.isenabled()
    assert gc.isenabled() is before


def test_the_collector_is_on_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="within"), without_garbage_collection():
        raise ValueError("within")
    assert gc.isenabled()


class _Asks(nn.Module):
    """Calls `ask` while it runs. `by_value` makes a run without data fail."""

    def __init__(self, ask: Callable[[], None], by_value: bool) -> None:
        super().__init__()
        self.ask, self.by_value = ask, by_value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.ask()
        if self.by_value and x.sum().item() > 0:
            return x * 2
        return x + 1


@pytest.mark.parametrize(
    "by_value, tracer, searched", [(False, "meta", False), (True, "real", True)], ids=("meta", "real")
)
def test_cycles_are_searched_for_where_tensors_have_data(by_value: bool, tracer: str, searched: bool) -> None:
    found: list[bool] = []
    model = _Asks(lambda: found.append(gc.isenabled()), by_value)
    assert trace(model, torch.ones(2)).tracer == tracer
    assert found[-1] is searched
    assert gc.isenabled()
