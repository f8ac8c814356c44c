"""Layers call their kernels directly where nothing in torch's dispatcher would come between."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from addercost.layers import AdderConv2d
from addercost.layers.ops.direct import nothing_between


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        return function(*args, **(kwargs or {}))


class _Function(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_plain_tensors_without_gradients_go_directly(
    mode: Callable[[], AbstractContextManager[None]],
) -> None:
    before, weight = torch.randn(2), torch.nn.Parameter(torch.randn(2))
    with mode():
        assert nothing_between((before, weight, None))
        assert nothing_between((torch.randn(2), weight))


WATCHERS = {
    "gradients": torch.enable_grad,
    "autocast": lambda: torch.autocast("cpu"),
    "dispatch mode": _Dispatch,
    "function mode": _Function,
    "fake tensors": FakeTensorMode,
    "profiler": lambda: torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]),
}


@pytest.mark.parametrize("watcher", WATCHERS)
def test_a_watched_call_goes_through_the_dispatcher(watcher: str) -> None:
    x = torch.randn(2)
    with torch.no_grad():
        with WATCHERS[watcher]():
            assert not nothing_between((x,))
        assert nothing_between((x,))


OTHER_TENSORS = {
    "a negated view": lambda: torch.randn(2, dtype=torch.complex64).conj().imag,
    "meta": lambda: torch.empty(2, device="meta"),
    "sparse": lambda: torch.ones(2).to_sparse(),
}


@pytest.mark.parametrize("kind", OTHER_TENSORS)
def test_other_tensors_go_through_the_dispatcher(kind: str) -> None:
    with torch.no_grad():
        assert not nothing_between((OTHER_TENSORS[kind](),))
        assert not nothing_between((torch.ones(2), OTHER_TENSORS[kind]()))


def test_transforms_and_traces_go_through_the_dispatcher() -> None:
    seen: list[bool] = []

    def watch(x: Tensor) -> Tensor:
        seen.append(nothing_between((x,)))
        return x + 1

    x = torch.randn(3)
    with torch.no_grad():
        torch.vmap(watch)(x)
        torch.func.jvp(watch, (x,), (x,))
        torch.func.functionalize(watch)(x)
        torch.jit.trace(watch, (x,), check_trace=False)
    assert seen == [False] * 4


@pytest.mark.parametrize("mode", [nullcontext, torch.no_grad, torch.inference_mode])
def test_both_ways_give_the_same(mode: Callable[[], AbstractContextManager[None]]) -> None:
    layer, x = AdderConv2d(3, 5, 3, stride=2, padding=1, bias=True), torch.randn(2, 3, 9, 8)
    with torch.no_grad(), _Dispatch():
        through = layer(x)
    with mode():
        assert torch.equal(layer(x), through)


def test_a_negated_view_has_its_negated_values() -> None:
    layer = AdderConv2d(1, 4, 1)
    x = torch.randn(1, 1, 3, 3, dtype=torch.complex64).conj().imag
    with torch.no_grad():
        assert torch.equal(layer(x), layer(x.clone()))
