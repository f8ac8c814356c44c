"""Grouped products, which mixtures of experts are made of, in every number format."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from addercost.api import trace_model
from addercost.counts.model import count
from addercost.trace.jit import trace_with_fvcore
from tests.counts.oracle import Function

TOKENS, CHANNELS, WIDTH, EXPERTS = 6, 16, 32, 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_every_token_meets_its_own_expert(dtype: torch.dtype) -> None:
    """Whichever tokens each expert takes, a token is multiplied by one expert's weights."""

    def experts(x: Tensor, w: Tensor, ends: Tensor) -> Tensor:
        return F.grouped_mm(x, w, offs=ends)

    x, w = torch.zeros(TOKENS, CHANNELS, dtype=dtype), torch.zeros(EXPERTS, CHANNELS, WIDTH, dtype=dtype)
    made = trace_model(Function(experts), x, w, torch.tensor([2, 4, 6], dtype=torch.int32))
    counts = count(made)
    assert counts.complete and counts.mac_sites == TOKENS * CHANNELS * WIDTH
    assert made.calls[-1].output.shape == (TOKENS, WIDTH)
    assert any("top-k × tokens" in note for note in counts.notes)
    assert not count(replace(made, tracer="real")).notes


@pytest.mark.parametrize(
    ("a", "b", "groups", "out"),
    [
        ((6, 16), (3, 16, 32), 3, (6, 32)),
        ((3, 6, 16), (3, 16, 32), None, (3, 6, 32)),
        ((8, 24), (24, 8), 3, (3, 8, 8)),
        ((3, 6, 16), (16, 24), 3, (6, 24)),
    ],
    ids=["rows in groups", "a batch", "sums in groups", "columns in groups"],
)
def test_shapes_are_torchs_own(
    a: tuple[int, ...], b: tuple[int, ...], groups: int | None, out: tuple[int, ...]
) -> None:
    """torch computes them for bf16; ours serve the other formats."""
    from addercost.trace.shapes import FAST_SHAPES

    operator = torch.ops.aten._grouped_mm.default
    x, y = (torch.empty(shape, dtype=torch.bfloat16, device="meta") for shape in (a, b))
    ends = None if groups is None else torch.empty(groups, dtype=torch.int32, device="meta")
    ours = FAST_SHAPES[operator](x, y, ends)
    assert ours.shape == operator(x, y, ends).shape == out
    assert FAST_SHAPES[operator](x.float(), y.float(), ends).shape == out


class Doubling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor, w: Tensor) -> Tensor:
        return x @ w.t()


def test_what_jit_keeps_closed_makes_a_lower_bound() -> None:
    counts = count(
        trace_with_fvcore(Function(lambda x, w: Doubling.apply(x, w)), torch.zeros(4, 8), torch.zeros(16, 8))
    )
    assert not counts.complete
    assert [item.op for item in counts.uncounted] == ["prim.PythonOp"]


def test_a_model_that_jit_sees_whole_stays_complete() -> None:
    assert count(trace_with_fvcore(torch.nn.Linear(3, 4), torch.zeros(2, 3))).complete
