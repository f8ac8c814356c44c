"""Whatever a model is made of, and whatever its forward does to it: it is as before, or the trace says what
is not. Needs torch.
"""

from __future__ import annotations

import itertools
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import MethodType
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from addercost.errors import TraceError
from addercost.trace.reuse.tracer import trace_blocks
from addercost.trace.tracer import trace


def refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise RuntimeError("read-only")


class LockedDict(dict[str, Any]):
    update = clear = pop = copy = items = values = __setitem__ = __delitem__ = __iter__ = refuse


class LockedOrderedDict(OrderedDict[str, Any]):
    """As the configurations of diffusion models are."""

    update = clear = pop = copy = __setitem__ = __delitem__ = __setattr__ = refuse


class LockedList(list[Any]):
    append = extend = clear = copy = __setitem__ = __delitem__ = __iter__ = __len__ = refuse


@dataclass(frozen=True)
class Frozen:
    steps: int = 0


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    steps: int = 0


class Slotted:
    __slots__ = ("absent", "steps")

    def __init__(self) -> None:
        self.steps = 0


@dataclass
class Nested:
    inner: list[Any] = field(default_factory=lambda: [{"steps": 0}])


class SlottedLinear(nn.Linear):
    __slots__ = ("calls",)


def locked_ordered() -> LockedOrderedDict:
    made = LockedOrderedDict()
    OrderedDict.__setitem__(made, "a", 1)
    OrderedDict.__setitem__(made, "b", 2)
    return made


def reordered(value: OrderedDict[str, Any]) -> None:
    OrderedDict.move_to_end(value, "a")
    OrderedDict.__setitem__(value, "c", 3)


@dataclass(frozen=True)
class Piece:
    """A value that a model has, what its forward does to it, and its state, which can be compared."""

    make: Callable[[], Any]
    change: Callable[[Any], Any]
    state: Callable[[Any], Any]


def slots(value: Any) -> Any:
    return value.steps, hasattr(value, "absent")


def changed_slots(value: Slotted) -> None:
    value.steps, value.absent = 1, 2


PIECES: dict[str, Piece] = {
    "a dict that refuses": Piece(
        lambda: LockedDict(a=1), lambda v: dict.update(v, a=2, b=3), lambda v: list(dict.items(v))
    ),
    "an ordered dict that refuses": Piece(locked_ordered, reordered, lambda v: list(OrderedDict.items(v))),
    "a list that refuses": Piece(
        lambda: LockedList([1, 2]), lambda v: list.append(v, 3), lambda v: list(list.__iter__(v))
    ),
    "a deque": Piece(lambda: deque([1, 2], 2), lambda v: v.append(3), lambda v: (list(v), v.maxlen)),
    "a set": Piece(lambda: {1}, lambda v: v.add(2), set),
    "bytes": Piece(lambda: bytearray(b"ab"), lambda v: v.extend(b"c"), bytes),
    "a frozen object": Piece(Frozen, lambda v: object.__setattr__(v, "steps", 1), lambda v: v.steps),
    "frozen slots": Piece(FrozenSlots, lambda v: object.__setattr__(v, "steps", 1), lambda v: v.steps),
    "slots": Piece(Slotted, changed_slots, slots),
    "what objects contain": Piece(Nested, lambda v: v.inner[0].update(steps=1), lambda v: str(v.inner)),
    "a list of tensors": Piece(
        lambda: [torch.ones(2)], lambda v: (v[0].add_(1), v.append(v[0])), lambda v: [t.tolist() for t in v]
    ),
    "a view of a tensor": Piece(lambda: torch.ones(2, 2), lambda v: v[0].mul_(2), Tensor.tolist),
    "a tensor that is shared with NumPy": Piece(
        lambda: np.ones(2), lambda v: torch.from_numpy(v).zero_(), np.ndarray.tolist
    ),
    "an array": Piece(lambda: np.zeros(2), lambda v: v.fill(3), np.ndarray.tolist),
    "whether a tensor has a gradient": Piece(
        lambda: torch.ones(2), lambda v: v.requires_grad_(), lambda v: v.requires_grad
    ),
    "a torch generator": Piece(
        lambda: torch.Generator().manual_seed(1),
        lambda v: torch.rand(2, generator=v),
        lambda v: v.get_state().tolist(),
    ),
    "a Python generator of numbers": Piece(random.Random, lambda v: v.random(), random.Random.getstate),
    "a NumPy generator": Piece(
        np.random.default_rng, lambda v: v.random(), lambda v: v.bit_generator.state["state"]
    ),
    "an iterator over a list": Piece(lambda: iter([1, 2, 3]), next, lambda v: v.__length_hint__()),
    "iterators within an iterator": Piece(
        lambda: zip([1, 2], "ab", strict=True),
        next,
        lambda v: [part.__length_hint__() for part in v.__reduce__()[1]],
    ),
    "a bound method's object": Piece(
        lambda: MethodType(lambda self: None, Nested()),
        lambda v: v.__self__.inner.clear(),
        lambda v: str(v.__self__.inner),
    ),
    "a module that nobody registered": Piece(
        lambda: [nn.Linear(2, 2)],
        lambda v: (v[0].weight.data.mul_(2), setattr(v[0], "bias", None)),
        lambda v: (v[0].weight.tolist(), v[0].bias is None),
    ),
}  # fmt: skip

SETTINGS: dict[str, Callable[[], Any]] = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "autocast dtype": lambda: torch.set_autocast_dtype("cpu", torch.float16),
    "grad mode": lambda: torch.set_grad_enabled(True),
    "precision": lambda: torch.set_float32_matmul_precision("medium"),
    "oneDNN": lambda: torch._C._set_mkldnn_enabled(True),
    "fast path": lambda: torch.backends.mha.set_fastpath_enabled(True),
    "random state": lambda: (torch.rand(1), random.random(), np.random.rand()),
}


def settings_of_torch() -> list[Any]:
    return [
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
        torch.is_grad_enabled(),
        torch.get_float32_matmul_precision(),
        torch._C._get_mkldnn_enabled(),
        torch.backends.mha.get_fastpath_enabled(),
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.math_sdp_enabled(),
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
    ]


class Careless(nn.Module):
    """Changes its attributes `pieces`, its own class and torch's settings. fails: then raises."""

    calls = 0
    seen: list[int] = []  # noqa: RUF012

    def __init__(self, pieces: list[str], settings_: list[str], fails: bool) -> None:
        super().__init__()
        self.linear = SlottedLinear(3, 2)
        self.linear.calls = 0
        self.names, self.settings, self.fails = tuple(pieces), tuple(settings_), fails
        for name in pieces:
            setattr(self, name.replace(" ", "_"), PIECES[name].make())

    def piece(self, name: str) -> Any:
        return getattr(self, name.replace(" ", "_"))

    def forward(self, x: Tensor) -> Tensor:
        kind: Any = type(self)
        kind.calls += 1
        kind.added = 1
        kind.seen.append(1)
        self.linear.calls += 1
        self.linear.register_buffer("late", torch.ones(1))
        for name in self.names:
            PIECES[name].change(self.piece(name))
        for name in self.settings:
            SETTINGS[name]()
        if self.fails:
            raise RuntimeError("as asked")
        return self.linear(x)


def state_of(model: Careless) -> list[Any]:
    parameters = [
        (name, id(tensor), tensor.tolist(), tensor.requires_grad, tensor.grad)
        for name, tensor in model.named_parameters()
    ]
    of_class = (Careless.calls, list(Careless.seen), hasattr(Careless, "added"), model.linear.calls)
    attributes = [(sorted(m.__dict__), list(m._buffers), "forward" in m.__dict__) for m in model.modules()]
    pieces = [(name, id(model.piece(name)), PIECES[name].state(model.piece(name))) for name in model.names]
    return [parameters, of_class, attributes, pieces, settings_of_torch()]


TRACERS: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    "forward": trace,
    "training step": lambda model, x: trace(model, x, backward=True),
    "blocks": lambda model, x: trace_blocks(model, [((x,), {})]),
}


def check(pieces: list[str], settings_: list[str], fails: bool, tracer: str) -> None:
    model = Careless(pieces, settings_, fails)
    model.train()
    before = state_of(model)
    try:
        TRACERS[tracer](model, torch.ones(4, 3))
    except TraceError as error:
        assert fails, error
        assert "not put back" not in str(error)
    else:
        assert not fails
    assert state_of(model) == before


@pytest.mark.parametrize("name", PIECES)
def test_each_kind_of_value_is_put_back(name: str) -> None:
    check([name], [], False, "forward")
    unchanged, changed = PIECES[name].make(), PIECES[name].make()
    with torch.no_grad():
        PIECES[name].change(changed)
    assert PIECES[name].state(unchanged) != PIECES[name].state(changed), "this case would notice nothing"


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(sorted(PIECES)), unique=True),
    st.lists(st.sampled_from(sorted(SETTINGS)), unique=True),
    st.booleans(),
    st.sampled_from(sorted(TRACERS)),
)
def test_state_before_equals_state_after(
    pieces: list[str], settings_: list[str], fails: bool, tracer: str
) -> None:
    check(pieces, settings_, fails, tracer)


class Consuming(nn.Module):
    """Takes one item from an iterator whose position cannot be set."""

    def __init__(self, source: Iterator[Any], taken: int = 1) -> None:
        super().__init__()
        self.source, self.taken = source, taken
        self.locked, self.cache = LockedDict(a=1), [0]

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.taken):
            next(self.source)
        dict.clear(self.locked)
        self.cache.append(1)
        return x + 1


def started(generator: Iterator[Any]) -> Iterator[Any]:
    next(generator)
    return generator


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(lambda: (n for n in range(3)), id="a generator"),
        pytest.param(lambda: started(n for n in range(3)), id="a generator that has started"),
        pytest.param(itertools.count, id="a count"),
    ],
)
def test_what_cannot_be_put_back_is_said(source: Callable[[], Iterator[Any]]) -> None:
    model = Consuming(source())
    (note,) = trace(model, torch.ones(2)).notes
    assert note.startswith("changed by the forward and not put back: the model.source: ")
    assert dict(dict.items(model.locked)) == {"a": 1} and model.cache == [0]  # the rest is
    assert trace(Consuming(source(), taken=0), torch.ones(2)).notes == ()


def test_an_error_says_what_could_not_be_put_back() -> None:
    model = Consuming(itertools.count())
    with pytest.raises(TraceError, match=r"not put back: the model\.source: an iterator that went on"):
        trace(model, torch.ones(2, dtype=torch.bool), backward=True)
    assert model.cache == [0]
