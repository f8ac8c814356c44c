"""Two threads and one model: right answers or a clear error, never wrong numbers. Needs torch."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from addercost.counts.model import count
from addercost.errors import TraceError
from addercost.trace.jit import trace_with_fvcore
from addercost.trace.reuse.tracer import trace_blocks
from addercost.trace.tracer import trace

X = torch.ones(4, 8)
SITES = 3 * 4 * 8 * 8
"""Of three linear layers of 8 × 8 on four rows."""


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8))


def switches() -> tuple[Any, ...]:
    return (
        torch._C._get_mkldnn_enabled(),
        torch.backends.mha.get_fastpath_enabled(),
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.math_sdp_enabled(),
        nn.Module.__setattr__,
    )


def test_threads_that_profile_the_same_model() -> None:
    model, before = network(), switches()
    tracers: list[Callable[[], Any]] = [
        lambda: trace(model, X),
        lambda: trace_blocks(model, [((X,), {})])[0].trace(),
        lambda: trace_with_fvcore(model, X),
    ]
    with ThreadPoolExecutor(4) as pool:
        traces = list(pool.map(lambda n: tracers[n % 3](), range(30)))
    assert [count(made, "macs").mac_sites for made in traces] == [SITES] * 30
    assert switches() == before
    assert all(not parameter.is_meta for parameter in model.parameters())


def test_a_thread_that_uses_the_model_meanwhile() -> None:
    """Every answer is right, or the error says what is the matter."""
    torch.manual_seed(0)
    model = nn.Sequential(network(), nn.Dropout(0.5)).train()
    model[1].eval()
    expected, done = model(X), threading.Event()
    answers: list[Tensor] = []
    errors: list[str] = []

    def use() -> None:
        while not done.is_set():
            try:
                answers.append(model(X))
            except TraceError as error:
                errors.append(str(error))

    user = threading.Thread(target=use)
    user.start()
    sites = []
    try:
        for _ in range(100):
            try:
                sites.append(count(trace(model, X), "macs").mac_sites)
            except TraceError as error:
                errors.append(str(error))
    finally:
        done.set()
        user.join()
    assert set(sites) <= {SITES}
    assert all(torch.equal(answer, expected) for answer in answers)
    assert all("thread" in error and "deepcopy" in error for error in errors)
    assert torch.equal(model(X), expected)


class Waiting(nn.Module):
    """Stays in its forward until it is let go, and then reads its mode."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.inside, self.go = threading.Event(), threading.Event()
        self.was_training: bool | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.inside.set()
        assert self.go.wait(30)
        self.was_training = self.training
        return self.linear(x)


@pytest.mark.parametrize(
    "tracer", [trace, lambda model, x: trace_blocks(model, [((x,), {})])], ids=["forward", "blocks"]
)
def test_a_model_that_is_running_is_not_traced(tracer: Callable[..., Any]) -> None:
    model = Waiting().train()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(model, X)
        assert model.inside.wait(30)
        with pytest.raises(TraceError, match="Waiting is running in another thread"):
            tracer(model, X)
        model.go.set()
        assert running.result().shape == (4, 8)
    assert model.was_training


class Parallel(nn.Module):
    """Runs its two branches in threads of its own, which a trace does not see."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(lambda layer: layer(x), (self.a, self.b)))  # type: ignore[return-value]


def test_a_forward_that_starts_threads_is_refused() -> None:
    with pytest.raises(
        TraceError, match=r"Linear was called by one thread while another .*one after the other"
    ):
        trace(Parallel(), X)


def test_no_garbage_is_collected_while_frames_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 holds a lock meanwhile, for which a collection waits; afterwards it is collected again."""
    listed = sys._current_frames
    collecting: list[bool] = []

    def frames() -> dict[int, Any]:
        collecting.append(gc.isenabled())
        return listed()

    monkeypatch.setattr(sys, "_current_frames", frames)
    assert gc.isenabled()
    trace(nn.Linear(2, 3), torch.empty(1, 2))
    assert collecting and not any(collecting)
    assert gc.isenabled()
