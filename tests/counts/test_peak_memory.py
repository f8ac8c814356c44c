"""How much memory a run needs, against figures that are worked out by hand: sums of what is alive at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import addercost
from addercost.api import trace_model
from addercost.counts.peak_memory import OPTIMIZERS, ModelMemory, memory_of
from addercost.errors import ArgumentError
from tests.counts.oracle import Function

N = 1000
T = 4 * N
"""Bytes of every tensor of the cases: a thousand float32."""


def memory(model: nn.Module, *args: Any, backward: bool = False, optimizer: str | None = None) -> ModelMemory:
    found = memory_of(trace_model(model, *args, backward=backward, memory=True), optimizer)
    assert found is not None
    return found


def chain(x: Tensor) -> Tensor:
    x = x.exp()
    x = x.sin()
    return x.cos()


def residual(x: Tensor) -> Tensor:
    y = x.exp()
    z = y.sin().cos()
    return y + z


def in_place(x: Tensor) -> Tensor:
    return x.exp().relu_().relu_()


def views(x: Tensor) -> Tensor:
    y = x.exp()
    part = y.view(10, 100)[:1]
    del y
    return part.sin()


def concatenated(x: Tensor) -> Tensor:
    return torch.cat([x.exp(), x.sin(), x.cos()])


def kept(x: Tensor) -> Tensor:
    unused = x.exp()
    y = unused.sin()
    z = y.cos()
    del y
    return z.tan()


def outputs(x: Tensor) -> list[Tensor]:
    return [x.exp(), x.sin(), x.cos(), x.tan()]


@pytest.mark.parametrize(
    ("forward", "peak"),
    [
        # The input is the caller's and stays, in each of these.
        pytest.param(chain, T + 2 * T, id="chain: an operand and its result"),
        pytest.param(residual, T + 3 * T, id="residual: the branch's end, the trunk and their sum"),
        pytest.param(in_place, T + T, id="in place: the operand is the result"),
        pytest.param(views, T + T + T // 10, id="views: a tenth keeps the whole"),
        pytest.param(concatenated, T + 3 * T + 3 * T, id="concatenation: parts and whole"),
        pytest.param(kept, T + T + 2 * T, id="a variable that nobody reads again keeps its tensor"),
        pytest.param(outputs, T + 4 * T, id="outputs stay"),
    ],
)
def test_inference(forward: Any, peak: int) -> None:
    found = memory(Function(forward), torch.zeros(N))
    assert (found.weight_bytes, found.input_bytes, found.peak_bytes) == (0, T, peak)
    assert found.training is None


class Inner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sin().cos()


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()

    def forward(self, x: Tensor) -> Tensor:
        y = x.exp()
        return self.inner(y)


def test_what_a_caller_refers_to_stays_while_a_module_runs() -> None:
    """The input, `y` of the outer module, and in the inner one the operand and its result."""
    found = memory(Outer(), torch.zeros(N))
    assert (found.peak_bytes, found.peak_path) == (4 * T, "inner")
    assert {layer.path: layer.peak_bytes for layer in found.layers} == {"": 2 * T, "inner": 4 * T}


class Dense(nn.Module):
    """Two linear layers of 100 × 100 without bias and a norm's running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(100, 100, bias=False)
        self.second = nn.Linear(100, 100, bias=False)
        self.register_buffer("statistics", torch.zeros(50))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).exp()
        return self.second(x)


W = 4 * 100 * 100


def test_weights_are_parameters_and_buffers() -> None:
    found = memory(Dense(), torch.zeros(10, 100))
    assert found.weight_bytes == 2 * W + 4 * 50
    assert found.peak_bytes == found.weight_bytes + T + 2 * T


def test_tied_weights_are_there_once() -> None:
    model = Dense()
    model.second.weight = model.first.weight
    assert memory(model, torch.zeros(10, 100)).weight_bytes == W + 4 * 50


def test_a_training_step_keeps_what_gradients_need() -> None:
    """Before the backward pass: the exponential, which its own gradient and that of the second layer's
    weight need, and the output. The first layer's result is needed by nobody.
    """
    found = memory(Dense(), torch.zeros(10, 100), backward=True)
    assert found.training is not None
    assert found.training.saved_bytes == 2 * T
    assert found.training.gradient_bytes == 2 * W
    inference = memory(Dense(), torch.zeros(10, 100))
    assert found.peak_bytes > inference.peak_bytes


def test_frozen_weights_have_no_gradients() -> None:
    model = Dense()
    model.first.weight.requires_grad_(False)
    found = memory(model, torch.zeros(10, 100), backward=True, optimizer="adam")
    assert found.training is not None
    assert found.training.gradient_bytes == W
    assert found.training.optimizer_bytes == 2 * W + 4


class Deep(nn.Module):
    """Eight exponentials, whose gradients need their results."""

    def __init__(self, checkpointed: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(N))
        self.checkpointed = checkpointed

    def run(self, x: Tensor) -> Tensor:
        for _ in range(8):
            x = x.exp()
        return x

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.scale
        return checkpoint(self.run, x, use_reentrant=False) if self.checkpointed else self.run(x)


def test_checkpointing_keeps_the_input_of_a_block_alone() -> None:
    """Without it eight results, of which the last is the output; with it what goes in and what comes out."""
    plain, saving = (memory(Deep(flag), torch.zeros(N), backward=True).training for flag in (False, True))
    assert plain is not None and saving is not None
    assert plain.saved_bytes == 8 * T
    assert saving.saved_bytes == 2 * T


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    tensors = [v for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("sgd", lambda p: torch.optim.SGD(p, 0.1)),
        ("momentum", lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
        ("adam", lambda p: torch.optim.Adam(p, 0.1)),
        ("adam", lambda p: torch.optim.AdamW(p, 0.1)),
    ],
    ids=["sgd", "momentum", "adam", "adamw"],
)
def test_the_state_is_what_torchs_optimizer_keeps(name: str, make: Any) -> None:
    model = Dense()
    optimizer = make(model.parameters())
    model(torch.zeros(10, 100)).sum().backward()
    optimizer.step()
    found = memory(model, torch.zeros(10, 100), backward=True, optimizer=name)
    without = memory(model, torch.zeros(10, 100), backward=True)
    assert found.training is not None
    assert found.training.optimizer_bytes == state_bytes(optimizer)
    assert found.peak_bytes - without.peak_bytes == found.training.optimizer_bytes


def test_half_precision_takes_half() -> None:
    model = Dense().bfloat16()
    assert memory(model, torch.zeros(10, 100, dtype=torch.bfloat16)).peak_bytes == (2 * W + 200 + 3 * T) // 2


def test_a_hand_written_adder_layer_needs_its_broadcast() -> None:
    """It is recorded as one call, which has all that the calls made which it stands for: the differences,
    their magnitudes, the sums and the negated sums.
    """

    class Adder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(20, 100))

        def forward(self, x: Tensor) -> Tensor:
            return -(x[:, None] - self.weight).abs().sum(-1)

    trace = trace_model(Adder(), torch.zeros(10, 100), memory=True)
    assert [call.name for call in trace.calls if "view" not in call.tags] == ["addercost.adder_pairs"]
    found = memory_of(trace)
    assert found is not None
    assert found.peak_bytes == 4 * (20 * 100 + 10 * 100 + 2 * 10 * 20 * 100 + 2 * 10 * 20)


def test_profile_has_it_unless_the_network_is_changed() -> None:
    x = torch.zeros(10, 100)
    own = addercost.profile(Dense(), x)
    assert own.memory == memory(Dense(), x)
    assert addercost.profile(Dense(), x, arithmetic="adder").memory == own.memory
    assert addercost.profile(Dense(), x, arithmetic="xnor").memory is None
    assert addercost.profile(Dense(), x, what_if=["prune=0.5"]).memory is None
    assert f"at most {own.memory.peak_bytes / 1000:.4g} kB in use" in str(own)


def test_a_trace_without_storages_has_none() -> None:
    trace = trace_model(Dense(), torch.zeros(10, 100))
    assert trace.storages is None
    assert memory_of(trace) is None


def test_unknown_and_unfitting_optimizers_are_refused() -> None:
    trace = trace_model(Dense(), torch.zeros(10, 100), memory=True)
    with pytest.raises(ArgumentError, match="unknown optimizer 'adamm'; did you mean adam"):
        memory_of(trace, "adamm")
    with pytest.raises(ArgumentError, match="no optimizer"):
        memory_of(trace, "adam")
    assert set(OPTIMIZERS) == {"sgd", "momentum", "adam"}


def test_an_empty_run_has_its_inputs() -> None:
    trace = trace_model(Function(lambda x: x), torch.zeros(N), memory=True)
    found = memory_of(replace(trace, calls=()))
    assert found is not None
    assert (found.peak_bytes, found.peak_path) == (T, "")
