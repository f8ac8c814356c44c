"""Tracing leaves the model, the random states and torch's switches as they were. Needs torch."""

from __future__ import annotations

import copy
import functools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from addercost.arithmetic import Arithmetic
from addercost.counts.arithmetics import WITH_LAYERS
from addercost.errors import TraceError
from addercost.models.zoo import ZOO
from addercost.trace.jit import trace_with_fvcore
from addercost.trace.reuse.tracer import trace_blocks
from addercost.trace.tracer import trace


class Restless(nn.Module):
    """Changes everything a forward can reach."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.seen: list[Tensor] = []
        self.cache: dict[str, Tensor] = {"kept": torch.ones(1)}
        self.last: Tensor | None = None
        self.plain = torch.arange(4.0)
        self.fails = fails

    def forward(self, x: Tensor) -> Tensor:
        self.steps += 1
        self.seen.append(x)
        self.cache["new"] = x
        self.last = x
        self.added = x
        self.linear.weight.data.mul_(2)
        x = self.drop(self.norm(x)) + self.plain + torch.rand(4).to(x.device)
        random.random()
        np.random.rand()
        if self.fails:
            raise RuntimeError("as asked")
        return self.linear(x)


def state_of(model: nn.Module) -> dict[str, Any]:
    return {
        "tensors": {
            name: (id(t), t.clone()) for name, t in (*model.named_parameters(), *model.named_buffers())
        },
        "training": [m.training for m in model.modules()],
        "attributes": [sorted(m.__dict__) for m in model.modules()],
        "lists": (list(model.seen), dict(model.cache), model.last) if isinstance(model, Restless) else (),
        "gradients": [parameter.grad for parameter in model.parameters()],
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),
        "switches": (
            torch.backends.mha.get_fastpath_enabled(),
            torch.backends.mkldnn.enabled,
            torch.backends.cuda.flash_sdp_enabled(),
            torch.backends.cuda.mem_efficient_sdp_enabled(),
            torch.backends.cuda.math_sdp_enabled(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.get_default_dtype(),
        ),
    }


def assert_same(before: Any, after: Any) -> None:
    if isinstance(before, dict):
        assert before.keys() == after.keys()
        for key in before:
            assert_same(before[key], after[key])
    elif isinstance(before, list | tuple):
        assert len(before) == len(after)
        for one, other in zip(before, after, strict=True):
            assert_same(one, other)
    elif isinstance(before, Tensor):
        assert torch.equal(before, after)
    else:
        assert before == after


def run(model: nn.Module) -> None:
    trace(model, torch.ones(2, 4))


def run_expecting_failure(model: nn.Module) -> None:
    with pytest.raises(TraceError):
        run(model)


@pytest.mark.parametrize(
    ("fails", "action"),
    [
        pytest.param(False, run, id="forward returns"),
        pytest.param(True, run_expecting_failure, id="forward raises"),
    ],
)
@pytest.mark.parametrize("fastpath", [True, False])
def test_nothing_is_left_behind(fails: bool, action: Callable[[nn.Module], None], fastpath: bool) -> None:
    model = Restless(fails)
    model.norm.eval()  # modes differ between modules
    torch.backends.mha.set_fastpath_enabled(fastpath)
    try:
        before = state_of(model)
        action(model)
        assert_same(before, state_of(model))
        assert not hasattr(model, "added")
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def test_weights_are_not_read() -> None:
    """A forward that writes its weights writes to substitutes."""
    model = Restless()
    weight = model.linear.weight.detach().clone()
    run(model)
    assert torch.equal(model.linear.weight, weight)


def test_a_lazy_module_stays_lazy() -> None:
    model = nn.Sequential(nn.LazyLinear(3), nn.ReLU())
    result = trace(model, torch.empty(2, 5, device="meta"))
    assert result.calls[-1].output.shape == (2, 3)
    assert type(model[0]) is nn.LazyLinear
    assert isinstance(model[0].weight, nn.UninitializedParameter)
    assert result.parameters == {"0.weight": 15, "0.bias": 3}


def test_grad_mode_and_hooks_survive() -> None:
    calls: list[str] = []
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].register_forward_hook(lambda *_: calls.append("hook"))
    with torch.enable_grad():
        trace(model, torch.empty(1, 2))
        assert torch.is_grad_enabled()
    assert calls == ["hook"]
    model(torch.zeros(1, 2))
    assert calls == ["hook", "hook"]


def test_the_model_still_computes_the_same() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).train()
    x = torch.randn(2, 1, 6, 6)
    expected = copy.deepcopy(model)(x)
    trace(model, x)
    assert torch.equal(model(x), expected)


TRACERS: dict[str, Callable[..., Any]] = {
    "forward": trace,
    "training step": functools.partial(trace, backward=True),
    "blocks": lambda model, x: trace_blocks(model, [((x,), {})]),
    "fvcore": trace_with_fvcore,
}


@pytest.mark.usefixtures("either_kernel")
@pytest.mark.parametrize("tracer", TRACERS)
@pytest.mark.parametrize("arithmetic", WITH_LAYERS)
@pytest.mark.parametrize("name", ["lenet5-bn", pytest.param("resnet20-cifar", marks=pytest.mark.exhaustive)])
def test_every_tracer_leaves_every_arithmetic_alone(name: str, arithmetic: Arithmetic, tracer: str) -> None:
    model = ZOO[name].build(arithmetic).train()
    x = torch.ones((2, *ZOO[name].input_shape[1:]))
    before = state_of(model)
    TRACERS[tracer](model, x)
    assert_same(before, state_of(model))
    assert x.grad is None and not x.requires_grad
