"""Calls that are equal beside their place and the names of their tensors are counted once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from addercost.api import trace_model
from addercost.counts import model
from addercost.trace.record import OpCall, TensorSpec

X = TensorSpec((2, 3), "float32", "activation", "", None, 1)
W = TensorSpec((4, 3), "float32", "parameter", "a.weight", None, 2)
OUT = TensorSpec((2, 4), "float32", "activation", "", None, 3)
CALL = OpCall("aten.linear.default", "a", {"input": X, "weight": W, "sizes": (1, (2, X))}, (OUT,), 0, ("x",))


def with_args(**changed: object) -> OpCall:
    return replace(CALL, args={**CALL.args, **changed})


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(CALL, module="b", index=7), id="place"),
        pytest.param(with_args(weight=replace(W, name="b.weight")), id="name"),
        pytest.param(with_args(sizes=(1, (2, replace(X, number=9)))), id="number"),
    ],
)
def test_place_names_and_numbers_are_not_in_the_pattern(other: OpCall) -> None:
    assert other.pattern() == CALL.pattern()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(CALL, op="aten.linear.out"), id="operator"),
        pytest.param(replace(CALL, tags=()), id="tags"),
        pytest.param(replace(CALL, outputs=(replace(OUT, dtype="float16"),)), id="output"),
        pytest.param(replace(CALL, outputs=(OUT, OUT)), id="outputs"),
        pytest.param(with_args(input=replace(X, shape=(3, 2))), id="shape"),
        pytest.param(with_args(input=replace(X, dtype="bfloat16")), id="dtype"),
        pytest.param(with_args(weight=replace(W, role="derived")), id="role"),
        pytest.param(with_args(weight=replace(W, stored=(5, 40))), id="stored"),
        pytest.param(with_args(sizes=(1, (2, replace(X, shape=(1, 6))))), id="inner-shape"),
        pytest.param(with_args(sizes=(1, 2, X)), id="nesting"),
        pytest.param(with_args(bias=None), id="further-argument"),
        pytest.param(replace(CALL, args={"input": X, "mat2": W, "sizes": CALL.args["sizes"]}), id="argument"),
    ],
)
def test_all_else_is_in_the_pattern(other: OpCall) -> None:
    assert other.pattern() != CALL.pattern()


def test_numbers_of_other_types_are_other_arguments() -> None:
    assert len({with_args(alpha=value).pattern() for value in (1, 1.0, True)}) == 3


def test_each_pattern_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three equal blocks and one that differs count as much as each of their calls alone."""
    blocks = [nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(3)]
    trace = trace_model(nn.Sequential(*blocks, nn.Linear(8, 3)), torch.empty(5, 8, device="meta"))
    seen: list[OpCall] = []
    alone = model._counted
    monkeypatch.setattr(model, "_counted", lambda call, rule: seen.append(call) or alone(call, rule))
    counts = model.count(trace, "macs")
    assert len(seen) == len({call.pattern() for call in trace.calls}) < len(trace.calls)
    assert counts.mac_sites == 3 * 5 * 8 * 8 + 5 * 8 * 3
    assert counts.mac_sites == sum(alone(call, counts.convention).sites for call in trace.calls)
