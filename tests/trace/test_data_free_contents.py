"""A forward that needs values, and is given an object with tensors that have none."""

from typing import Any

import torch
from torch import Tensor, nn

from addercost.trace.tracer import trace


class _Cache:
    """As a cache of keys: tensors in an attribute, a list, a dictionary and an object inside it."""

    def __init__(self, inner: "_Cache | None" = None) -> None:
        self.keys = torch.empty(2, device="meta")
        self.layers = [torch.empty(2, device="meta")]
        self.by_layer = {0: torch.empty(2, device="meta")}
        self.inner = inner

    def tensors(self) -> list[Tensor]:
        inner = self.inner.tensors() if self.inner is not None else []
        return [self.keys, *self.layers, *self.by_layer.values(), *inner]


class _ByValue(nn.Module):
    """Adds the cache to x where x is not negative, which only a run with data knows."""

    def forward(self, x: Tensor, caches: Any) -> Tensor:
        if x.sum().item() < 0:
            return x
        return sum(caches[0].tensors(), start=x)


def test_a_run_with_data_gives_them_values_and_takes_them_away_again() -> None:
    cache = _Cache(_Cache())
    before = cache.tensors()
    made = trace(_ByValue(), torch.ones(2), (cache,))
    assert made.tracer == "real"
    # x.sum(), the comparison's value, and one addition for each of the six tensors.
    assert [call.name for call in made.calls].count("aten.add") == 6
    assert all(now is then and now.is_meta for now, then in zip(cache.tensors(), before, strict=True))
