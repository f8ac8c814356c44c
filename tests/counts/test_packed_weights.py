"""Bytes of binary and shift layers: their weights as the layers keep them, packed into bits."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from addercost.api import trace_model
from addercost.counts.model import LayerCounts, count
from addercost.layers import BinaryConv2d, BinaryLinear, ShiftLinear

FP32 = 4


def only(model: nn.Module, *shape: int, arithmetic: str | None = None) -> LayerCounts:
    (layer,) = count(trace_model(model, torch.zeros(*shape)), arithmetic=arithmetic).layers
    return layer


def test_a_binary_linear_layer_reads_a_bit_a_weight_and_a_factor_a_filter() -> None:
    layer = only(nn.Linear(4096, 4096, bias=False), 1, 4096, arithmetic="xnor")
    assert layer.bytes_read == 4096 * 4096 // 8 + FP32 * 4096 + FP32 * 4096 == 2_097_152 + 32_768
    assert layer.bytes_written == FP32 * 4096


@pytest.mark.parametrize("bias", [False, True])
def test_the_layer_itself_reads_the_same(bias: bool) -> None:
    made = only(BinaryLinear(30, 20, bias=bias), 2, 30)
    what_if = only(nn.Linear(30, 20, bias=bias), 2, 30, arithmetic="xnor")
    assert made.bytes_read == what_if.bytes_read == 20 * 30 // 8 + FP32 * (20 + 2 * 30 + (20 if bias else 0))


def test_a_binary_convolution() -> None:
    layer = only(BinaryConv2d(3, 8, 3, bias=False), 1, 3, 5, 5)
    assert layer.bytes_read == 8 * 3 * 9 // 8 + FP32 * 8 + FP32 * 3 * 25


@pytest.mark.parametrize("own", [False, True])
def test_a_shift_layer_reads_six_bits_a_weight(own: bool) -> None:
    """±2^e with -15 ≤ e ≤ 15, or 0: 2·31 + 1 = 63 values."""
    if own:
        layer = only(ShiftLinear(30, 20, bias=False), 2, 30)
    else:
        layer = only(nn.Linear(30, 20, bias=False), 2, 30, arithmetic="shift")
    assert layer.bytes_read == 20 * 30 * 6 // 8 + FP32 * 2 * 30


@pytest.mark.parametrize("arithmetic", ["mac", "adder"])
def test_other_arithmetics_read_their_weights_whole(arithmetic: str) -> None:
    layer = only(nn.Linear(30, 20, bias=False), 2, 30, arithmetic=arithmetic)
    assert layer.bytes_read == FP32 * (20 * 30 + 2 * 30)


def test_gradients_read_the_weights_of_full_precision() -> None:
    """The weight that is trained is one of numbers: g·w for the input, gᵀ·x for the weight."""
    made = trace_model(nn.Linear(30, 20, bias=False), torch.zeros(2, 30), backward=True)
    plain, binary = (count(made, arithmetic=a).layers[0] for a in ("mac", "xnor"))
    saved = FP32 * 600 - 600 // 8 - FP32 * 20
    assert plain.bytes_read - binary.bytes_read == saved
