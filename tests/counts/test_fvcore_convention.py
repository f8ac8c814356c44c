"""The fvcore convention against fvcore itself, on what it counts beside sites and norms."""

from __future__ import annotations

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn
from torch.nn import functional as F

from addercost.api import trace_model
from addercost.counts.call_work import work_of
from addercost.counts.conventions import CONVENTIONS
from addercost.counts.model import count
from tests.counts.oracle import Function


def sampled(x: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(x, grid, align_corners=False)


CASES: dict[str, tuple[nn.Module, tuple[Tensor, ...], int]] = {
    "adaptive pooling": (nn.AdaptiveAvgPool2d(2), (torch.zeros(1, 10, 5, 5),), 10 * 25),
    "global pooling": (nn.AdaptiveAvgPool2d(1), (torch.zeros(2, 3, 5, 4),), 2 * 3 * 20),
    "pooling of one axis": (nn.AdaptiveAvgPool1d(2), (torch.zeros(1, 10, 6),), 0),
    "global pooling of one axis": (nn.AdaptiveAvgPool1d(1), (torch.zeros(1, 10, 6),), 0),
    "global pooling of an axis of two": (nn.AdaptiveAvgPool1d(1), (torch.zeros(1, 10, 2),), 0),
    "global pooling of one pixel": (nn.AdaptiveAvgPool2d(1), (torch.zeros(2, 3, 1, 1),), 2 * 3),
    "bilinear": (
        nn.Upsample(scale_factor=2, mode="bilinear"),
        (torch.zeros(1, 3, 4, 4),),
        4 * 3 * 64,
    ),
    "nearest": (nn.Upsample(scale_factor=2, mode="nearest"), (torch.zeros(1, 3, 4, 4),), 3 * 64),
    "form of two vectors": (nn.Bilinear(3, 4, 5), (torch.zeros(2, 3), torch.zeros(2, 4)), 0),
    "grid": (Function(sampled), (torch.zeros(1, 3, 4, 4), torch.zeros(1, 5, 6, 2)), 4 * 3 * 30),
}


@pytest.mark.parametrize("name", CASES)
def test_it_counts_what_fvcore_counts(name: str) -> None:
    model, inputs, expected = CASES[name]
    found = FlopCountAnalysis(model, inputs).unsupported_ops_warnings(False).tracer_warnings("none").total()
    ours = count(trace_model(model, *inputs), "fvcore").total.by_class()
    assert found == expected == ours.get("mul", 0) == ours.get("add", 0)


def test_a_batch_norm_in_training_without_a_scale() -> None:
    made = trace_model(nn.BatchNorm2d(3, affine=False), torch.zeros(2, 3, 4, 4), backward=True)
    forward = [call for call in made.calls if "batch_norm" in call.name and "backward" not in call.name]
    (call,) = forward
    work = work_of(call)
    assert work is not None
    assert CONVENTIONS["fvcore"].counts(call, work).by_class()["mul"] == 4 * 2 * 3 * 16
