"""Calls of operators that are repeated without a look at torch are those that torch would have made."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from whole_trace import trace

from addercost.trace.reuse.recorder import BlockRecorder
from addercost.trace.reuse.tracer import BlockCache, trace_blocks

X = torch.empty(4, 8)


class Forward(nn.Module):
    """Its parts do nothing, so that what they return has been looked at, and calls on it can be known."""

    def __init__(self, forward: Callable[..., Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Identity(), nn.Softmax(-1), nn.Identity()
        self.run = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def same_twice(m: Forward, x: Tensor) -> Tensor:
    x, y = m.a(x), m.b(x)
    return m.c(x + y) + m.c(x + y)


def alpha(m: Forward, x: Tensor) -> Tensor:
    x, y = m.a(x), m.b(x)
    return torch.add(x, y) + torch.add(x, y, alpha=2) + torch.add(x, y, alpha=2.0) + torch.add(x, y)


def numbers(m: Forward, x: Tensor) -> Tensor:
    y = m.b(x)
    clipped = nn.functional.hardtanh
    return clipped(y, -2, 2) + clipped(y, -3, 3) + clipped(y, -2, 2) + (y + 1) + (y + 2.5)


def shapes(m: Forward, x: Tensor) -> Tensor:
    y, z = m.b(x), m.a(m.b(x)[:1])
    return (y + y).sum() + (y + z).sum() + (z + z).sum() + (z + y).sum()


def dtypes(m: Forward, x: Tensor) -> Tensor:
    y, z = m.b(x), m.b(x.double())
    return (y + y) + (y + z) + (z + z)


def strides(m: Forward, x: Tensor) -> Tensor:
    y = m.b(x)
    z = m.a(m.b(x.t()).t())
    return torch.relu(y).reshape(-1) + torch.relu(z).reshape(-1)


def in_place(m: Forward, x: Tensor) -> Tensor:
    y, z = m.b(x), m.b(x)
    y.add_(z)
    y.add_(z)
    same = y.mul_(2.0)
    assert same is y
    return m.a(y) + z


def zeros(m: Forward, x: Tensor) -> Tensor:
    y = m.b(x)
    return y.new_zeros(4, 8) + y.new_zeros(8) + y.new_zeros((4, 8)) + y.new_zeros(4, 8, dtype=torch.float64)


def lists(m: Forward, x: Tensor) -> Tensor:
    y = m.b(x)
    return y.mean([0]).sum() + y.mean([1]).sum() + y.mean([0, 1]) + y.mean([0], keepdim=True).sum()


def inference(m: Forward, x: Tensor) -> Tensor:
    """In which torch takes fewer operators apart, and what it makes is treated so afterwards."""
    y = m.b(m.b(x))
    before = y + y
    with torch.inference_mode():
        z, within = m.b(y) + m.b(y), y + y
    return m.b(z) + m.b(within) + m.b(before)


@pytest.mark.parametrize(
    "forward", [same_twice, alpha, numbers, shapes, dtypes, strides, in_place, zeros, lists, inference]
)
def test_equal_to_a_whole_trace(forward: Callable[..., Tensor]) -> None:
    """Also the second time, when every call is known from another model."""
    cache = BlockCache()
    for _ in range(2):
        (blocks,) = trace_blocks(Forward(forward), [((X,), {})], cache=cache)
        assert blocks.trace() == trace(Forward(forward), X)


def test_a_known_call_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last two additions are the first two once more, and the two together; the softmax is a block."""
    made = []
    plain = BlockRecorder._plain

    def counted(self: BlockRecorder, func: object, *raw: object) -> object:
        made.append(func)
        return plain(self, func, *raw)

    monkeypatch.setattr(BlockRecorder, "_plain", counted)
    trace_blocks(Forward(same_twice), [((X,), {})])
    aten = torch.ops.aten
    # One of input and activation, and one of two activations.
    assert made == [aten._softmax.default, aten.add.Tensor, aten.add.Tensor]


class Borrowing(nn.Module):
    """Adds a tensor of its parent's to what it is given, which no argument shows."""

    def __init__(self, box: list[Tensor]) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.take = box.__getitem__

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.take(0)


class Lender(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Softmax(-1)
        box: list[Tensor] = []
        self.box = box
        self.one, self.two, self.three = Borrowing(box), Borrowing(box), Borrowing(box)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        z = self.one.layer(y) + y  # the call by which the others will know theirs
        for part, lent in ((self.one, y), (self.two, self.first(y)[:1]), (self.three, y)):
            self.box[:] = [lent]
            z = part(z)
        return z


def test_a_known_call_on_a_tensor_from_outside_of_its_block_spoils_it() -> None:
    model = Lender()
    (blocks,) = trace_blocks(model, [((X,), {})])
    assert blocks.trace() == trace(model, X)


def test_a_traced_model_is_not_kept_alive() -> None:
    """By reference counts alone: a sweep would gather thousands until the next collection."""
    import gc
    import weakref

    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    gone = weakref.ref(model)
    gc.disable()
    try:
        trace_blocks(model, [((X,), {})])
        del model
        assert gone() is None
    finally:
        gc.enable()
