"""Adder and binary layers in plain torch are found, and what only looks like them is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from addercost.arithmetic import Arithmetic
from addercost.counts.model import ModelCounts, count
from addercost.trace.tracer import trace

C, K, R, H = 3, 5, 3, 6
SITES = 2 * K * H * H * C * R * R
"""Batch 2, a 3x3 kernel with padding 1 on a 6x6 image: every output meets C·R·R weights."""


def patches(x: Tensor) -> Tensor:
    """[N, C, H, W] → [C·R·R, N·H·W]."""
    return F.unfold(x, R, padding=1).transpose(0, 1).reshape(C * R * R, -1)


def as_image(rows: Tensor) -> Tensor:
    return rows.reshape(K, 2, H, H).transpose(0, 1)


class L1(torch.autograd.Function):
    """The layer as a function with its own derivative, which is how AdderNet is usually written."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(w, x)
        return -(w[:, :, None] - x[None]).abs().sum(1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        w, x = ctx.saved_tensors
        difference = x[None] - w[:, :, None]
        for_w = (difference * grad[:, None]).sum(2)
        for_x = (-difference.clamp(-1, 1) * grad[:, None]).sum(0)
        return for_w, for_x


ADDER_FORMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "autograd function": lambda w, x: as_image(L1.apply(w.flatten(1), patches(x))),
    "expression": lambda w, x: as_image(-(patches(x)[None] - w.flatten(1)[:, :, None]).abs().sum(1)),
    "times -1": lambda w, x: as_image((patches(x)[None] - w.flatten(1)[:, :, None]).abs().sum(1) * -1),
    "negated inside": lambda w, x: as_image((-(patches(x)[None] - w.flatten(1)[:, :, None]).abs()).sum(1)),
    "in place": lambda w, x: as_image((patches(x)[None] - w.flatten(1)[:, :, None]).abs_().sum(1).neg_()),
    "negated behind a view": lambda w, x: (
        -as_image((patches(x)[None] - w.flatten(1)[:, :, None]).abs().sum(1))
    ),
    "cdist": lambda w, x: as_image(-torch.cdist(w.flatten(1), patches(x).t().contiguous(), p=1)),
    "norm": lambda w, x: as_image(-torch.norm(patches(x)[None] - w.flatten(1)[:, :, None], p=1, dim=1)),
}


class Layer(nn.Module):
    def __init__(self, form: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(K, C, R, R))
        self.form = form

    def forward(self, x: Tensor) -> Tensor:
        return self.form(self.weight, x)


def counts_of(form: Callable[[Tensor, Tensor], Tensor], convention: str) -> ModelCounts:
    model = nn.Sequential(nn.Conv2d(C, C, 1), Layer(form))
    return count(trace(model, torch.empty(2, C, H, H, device="meta")), convention)


@pytest.mark.parametrize("form", ADDER_FORMS.values(), ids=ADDER_FORMS)
def test_an_adder_layer_has_two_additions_a_site(form: Callable[[Tensor, Tensor], Tensor]) -> None:
    (_, layer) = counts_of(form, "macs").layers
    assert layer.path == "1"
    assert layer.op == "adder_pairs"
    assert layer.arithmetic is Arithmetic.ADDER
    assert layer.mac_sites == SITES
    assert layer.counts.by_class() == {"mul": 0, "add": 2 * SITES}


@pytest.mark.parametrize("form", ADDER_FORMS.values(), ids=ADDER_FORMS)
def test_every_operation_of_it_is_still_counted(form: Callable[[Tensor, Tensor], Tensor]) -> None:
    (_, layer) = counts_of(form, "full").layers
    # K differences, K magnitudes, K - 1 additions and the negation of the sum.
    assert layer.counts.by_class() == {"mul": 0, "add": 2 * SITES, "abs": SITES}


def test_what_is_computed_is_the_layer() -> None:
    torch.manual_seed(0)
    w, x = torch.randn(K, C, R, R), torch.randn(2, C, H, H)
    expected = ADDER_FORMS["expression"](w, x)
    for form in ADDER_FORMS.values():
        torch.testing.assert_close(form(w, x), expected, rtol=1e-4, atol=1e-4)


def test_without_a_negation_the_first_term_is_free() -> None:
    form = lambda w, x: as_image((patches(x)[None] - w.flatten(1)[:, :, None]).abs().sum(1))  # noqa: E731
    (_, layer) = counts_of(form, "full").layers
    assert layer.counts.by_class() == {"mul": 0, "add": 2 * SITES - 2 * K * H * H, "abs": SITES}


NOT_LAYERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "distance of activations": lambda w, x: (x.flatten(1)[:, None] - x.flatten(1)[None]).abs().sum(-1),
    "cdist of activations": lambda w, x: torch.cdist(x.flatten(1), x.flatten(1), p=1),
    "cdist with p=2": lambda w, x: torch.cdist(x.transpose(1, 3), w[0, 0], p=2),
    "residual": lambda w, x: (x - x.flip(0)).abs().sum(1),
    "offset by a bias": lambda w, x: (x - w[:C, 0, 0, 0, None, None]).abs().sum(1),
    "squared": lambda w, x: (patches(x)[None] - w.flatten(1)[:, :, None]).square().sum(1),
    "mean": lambda w, x: (patches(x)[None] - w.flatten(1)[:, :, None]).abs().mean(1),
    "never summed": lambda w, x: (patches(x)[None] - w.flatten(1)[:, :, None]).abs(),
}


@pytest.mark.parametrize("form", NOT_LAYERS.values(), ids=NOT_LAYERS)
def test_what_only_looks_like_one_stays_what_it_is(form: Callable[[Tensor, Tensor], Tensor]) -> None:
    (_, layer) = counts_of(form, "macs").layers
    assert layer.arithmetic is None
    assert layer.counts.by_class() == {"mul": 0, "add": 0}


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.sign()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


BINARY_FORMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sign": lambda w, x: F.conv2d(x.sign(), w.sign(), padding=1),
    "where": lambda w, x: F.conv2d(torch.where(x >= 0, 1.0, -1.0), w.sign(), padding=1),
    "autograd function": lambda w, x: F.conv2d(StraightThrough.apply(x), StraightThrough.apply(w), padding=1),
    "detached": lambda w, x: F.conv2d(x + (x.sign() - x).detach(), (w.sign() - w).detach() + w, padding=1),
    "scaled by filter": lambda w, x: F.conv2d(
        x.sign(), w.sign() * w.abs().mean((1, 2, 3), keepdim=True), padding=1
    ),
    "product": lambda w, x: as_image(w.sign().flatten(1) @ patches(x.sign())),
}


@pytest.mark.parametrize("form", BINARY_FORMS.values(), ids=BINARY_FORMS)
def test_a_binary_layer_has_an_xnor_and_a_popcount_a_site(form: Callable[[Tensor, Tensor], Tensor]) -> None:
    (_, layer) = counts_of(form, "macs").layers
    assert layer.arithmetic is Arithmetic.XNOR
    assert layer.counts.by_class() == {"mul": 0, "add": 0, "xnor": SITES, "popcount": SITES}


NOT_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "real inputs": lambda w, x: F.conv2d(x, w.sign(), padding=1),
    "real weights": lambda w, x: F.conv2d(x.sign(), w, padding=1),
    "signs of what is never negative": lambda w, x: F.conv2d(x.relu().sign(), w.sign(), padding=1),
    "scaled by element": lambda w, x: F.conv2d(x.sign(), w.sign() * w.abs(), padding=1),
    "shifted": lambda w, x: F.conv2d(x.sign() + x, w.sign(), padding=1),
}


@pytest.mark.parametrize("form", NOT_BINARY.values(), ids=NOT_BINARY)
def test_one_real_factor_makes_it_a_convolution(form: Callable[[Tensor, Tensor], Tensor]) -> None:
    (_, layer) = counts_of(form, "macs").layers
    assert layer.arithmetic is Arithmetic.MAC
    assert layer.counts.by_class() == {"mul": SITES, "add": SITES}
