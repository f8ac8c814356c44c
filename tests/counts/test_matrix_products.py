"""Calls as matrix products: sizes derived by hand, and sites that sum to those of the counts."""

import pytest
import torch
from torch import nn

import addercost
from addercost.arithmetic import Arithmetic
from addercost.counts.matrix_products import MatrixProduct, matrix_products
from addercost.counts.model import count


class Attention(nn.Module):
    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x, x)


def products(model, *inputs, **changes):
    counts = count(addercost.trace_model(model, *inputs), "macs", **changes)
    found = [matrix_products(call) for layer in counts.layers for call in layer.calls]
    placed = [product for of_call, _ in found for product in of_call]
    unplaced = sum(left_out for _, left_out in found)
    assert sum(product.sites for product in placed) + unplaced == counts.mac_sites
    return placed, unplaced


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        pytest.param(
            nn.Conv2d(6, 8, 3, padding=1, bias=False),
            (2, 6, 5, 7),
            [MatrixProduct(2 * 5 * 7, 6 * 9, 8, 2 * 6 * 5 * 7)],
            id="convolution",
        ),
        pytest.param(
            nn.Conv2d(6, 8, 3, stride=2, groups=2),
            (1, 6, 7, 7),
            [MatrixProduct(3 * 3, 3 * 9, 4, 3 * 7 * 7, 2)],
            id="grouped-strided",
        ),
        pytest.param(
            nn.Conv2d(6, 6, 3, groups=6),
            (1, 6, 4, 4),
            [MatrixProduct(2 * 2, 9, 1, 4 * 4, 6)],
            id="depthwise",
        ),
        pytest.param(nn.Linear(10, 3), (4, 10), [MatrixProduct(4, 10, 3, 40)], id="linear"),
        pytest.param(
            Attention(),
            (2, 3, 5, 8),
            [MatrixProduct(5, 8, 5, 40, 6), MatrixProduct(5, 5, 8, 25, 6)],
            id="attention",
        ),
        pytest.param(nn.ReLU(), (4, 10), [], id="no-product"),
    ],
)
def test_the_product_of_a_layer(model, shape, expected):
    assert products(model, torch.zeros(shape)) == (expected, 0)


def test_a_transposed_convolution_is_left_out_and_said_so():
    placed, unplaced = products(nn.ConvTranspose2d(3, 4, 2), torch.zeros(1, 3, 5, 5))
    assert not placed
    assert unplaced == 3 * 25 * 4 * 4


class ConvolutionOverTime(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(3, 8, 16)), nn.Parameter(torch.zeros(16))

    def forward(self, x):
        return torch.conv_tbc(x, self.weight, self.bias, 1)


def test_a_convolution_with_other_operands_is_left_out_and_said_so():
    placed, unplaced = products(ConvolutionOverTime(), torch.zeros(20, 2, 8))
    assert not placed
    assert unplaced == 20 * 2 * 16 * 3 * 8


def test_a_layer_is_placed_in_its_own_arithmetic():
    model = nn.Sequential(nn.Linear(4, 5), Attention())
    placed, _ = products(model, torch.zeros(2, 3, 4), arithmetic="adder")
    assert [product.arithmetic for product in placed] == [Arithmetic.ADDER, Arithmetic.MAC, Arithmetic.MAC]
