"""The multiply-adds that torch executes, beside the table of real models, on layers counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.executed_products import executed_products
from tests.counts.oracle import Function

CASES: dict[str, tuple[nn.Module, tuple[Tensor, ...], int]] = {
    "grouped convolution": (
        nn.Conv2d(4, 6, 3, padding=1, groups=2),
        (torch.zeros(2, 4, 5, 5),),
        (2 * 6 * 5 * 5) * (2 * 3 * 3),
    ),
    "transposed convolution": (
        nn.ConvTranspose2d(3, 4, 2, stride=2),
        (torch.zeros(1, 3, 5, 5),),
        (3 * 5 * 5) * (4 * 2 * 2),
    ),
    "linear": (nn.Linear(7, 5), (torch.zeros(2, 3, 7),), 2 * 3 * 7 * 5),
    "batched product": (
        Function(torch.matmul),
        (torch.zeros(2, 3, 4), torch.zeros(2, 4, 5)),
        2 * 3 * 4 * 5,
    ),
    "attention": (
        Function(lambda q, k, v: F.scaled_dot_product_attention(q, k, v)),
        (torch.zeros(1, 2, 8, 16), torch.zeros(1, 2, 6, 16), torch.zeros(1, 2, 6, 16)),
        2 * 8 * 6 * (16 + 16),
    ),
    "LSTM": (
        nn.LSTM(3, 4, num_layers=2, bidirectional=True),
        (torch.zeros(5, 2, 3),),
        5 * 2 * 2 * 4 * ((3 + 4) + (2 * 4 + 4)) * 4,
    ),
    "no product": (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), (torch.zeros(1, 2, 4, 4),), 0),
}


@pytest.mark.parametrize("name", CASES)
def test_multiply_adds_of_a_layer(name: str) -> None:
    model, inputs, expected = CASES[name]
    assert executed_products(model.eval(), inputs, {}).total() == expected
