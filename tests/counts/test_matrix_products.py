"""Calls as matrix products: sizes derived by hand, and sites that sum to those of the counts."""

import pytest
import torch
from torch import nn

import addercost
from addercost.arithmetic import Arithmetic
from addercost.counts.matrix_products import MatrixProduct, matrix_products
from addercost.counts.model import count
from addercost.trace.record import OpCall, TensorSpec


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


X, W = TensorSpec((4, 6), "float32"), TensorSpec((6, 3), "float32", "parameter", "w")


def call(op, out, **args):
    return OpCall(f"{op}.default", "layer", args, (TensorSpec(out, "float32"),), 0)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(call("aten.mm", (4, 3), self=X, mat2=W), MatrixProduct(4, 6, 3, 24), id="mm"),
        # The weight is on the left: its rows are the filters.
        pytest.param(
            call("aten.mm", (3, 4), self=TensorSpec((3, 6), "float32", "parameter"),
                 mat2=TensorSpec((6, 4), "float32")),
            MatrixProduct(4, 6, 3, 24),
            id="mm-of-a-weight",
        ),
        pytest.param(
            call("aten.mm", (3, 4), self=TensorSpec((3, 6), "float32", "derived"),
                 mat2=TensorSpec((6, 4), "float32")),
            MatrixProduct(4, 6, 3, 24),
            id="mm-of-a-computed-weight",
        ),
        pytest.param(
            call("aten.bmm", (5, 4, 3), self=TensorSpec((5, 4, 6), "float32"),
                 mat2=TensorSpec((5, 6, 3), "float32")),
            MatrixProduct(4, 6, 3, 24, 5),
            id="bmm",
        ),
        pytest.param(
            call("aten.baddbmm", (5, 4, 3), self=TensorSpec((3,), "float32"),
                 batch1=TensorSpec((5, 4, 6), "float32"), batch2=TensorSpec((5, 6, 3), "float32"),
                 beta=1, alpha=1),
            MatrixProduct(4, 6, 3, 24, 5),
            id="baddbmm",
        ),
        pytest.param(
            call("aten.linear", (2, 5, 3), input=TensorSpec((2, 5, 6), "float32"),
                 weight=TensorSpec((3, 6), "float32", "parameter"), bias=None),
            MatrixProduct(10, 6, 3, 60),
            id="linear-of-tokens",
        ),
        pytest.param(
            call("addercost.adder_linear", (2, 5, 3), input=TensorSpec((2, 5, 6), "float32"),
                 weight=TensorSpec((3, 6), "float32", "parameter"), bias=None),
            MatrixProduct(10, 6, 3, 60, arithmetic=Arithmetic.ADDER),
            id="adder-linear",
        ),
        # The narrower operand decides: bytes for weights, four for inputs.
        pytest.param(
            call("aten.mm", (4, 3), self=X, mat2=TensorSpec((6, 3), "int8", "parameter")),
            MatrixProduct(4, 6, 3, 24, operand_bytes=1),
            id="narrow-weights",
        ),
    ],
)  # fmt: skip
def test_the_product_of_a_call(made, expected):
    assert matrix_products(made) == ((expected,), 0)


def test_a_form_of_two_vectors_is_a_product_of_their_products():
    """x: [2, 3], z: [2, 4], weight: [5, 3, 4]: two rows of 12 products, five filters."""
    found, left_out = matrix_products(bilinear())
    assert [(p.outputs_each, p.depth, p.filters, p.inputs, p.repeats) for p in found] == [(2, 12, 5, 24, 1)]
    assert left_out == 0


def bilinear():
    model = nn.Bilinear(3, 4, 5)
    trace = addercost.trace_model(model, torch.zeros(2, 3), torch.zeros(2, 4))
    (made,) = (one for one in trace.calls if one.name == "aten._trilinear")
    return made


def test_a_convolution_of_one_axis_and_of_three():
    """Two images, 4 places, 5 filters of 3 × 3 terms; one image, 2·3·4 places, 2 filters of 2 × 8 terms."""
    one, _ = products(nn.Conv1d(3, 5, 3), torch.zeros(2, 3, 6))
    three, _ = products(nn.Conv3d(2, 2, 2), torch.zeros(1, 2, 3, 4, 5))
    assert one == [MatrixProduct(2 * 4, 9, 5, 2 * 3 * 6)]
    assert three == [MatrixProduct(2 * 3 * 4, 16, 2, 2 * 3 * 4 * 5)]


def test_a_scan_multiplies_its_state_by_c_at_each_token():
    """Of 2 sequences, 3 channels, 5 tokens and 4 states: ten products of [3, 4] by a vector."""
    made = selective_scan()
    found, left_out = matrix_products(made)
    assert left_out == 0
    assert [(p.outputs_each, p.depth, p.filters, p.inputs, p.repeats) for p in found] == [(3, 4, 1, 12, 10)]


def selective_scan():
    sizes = {"x": (2, 3, 5), "dt": (2, 3, 5), "rates": (3, 4), "b": (2, 4, 5), "c": (2, 4, 5)}
    args = {name: TensorSpec(shape, "float32") for name, shape in sizes.items()}
    outputs = (TensorSpec((2, 3, 5), "float32"), TensorSpec((2, 3, 4), "float32"))
    return OpCall("addercost.selective_scan.default", "", {**args, "softplus": True}, outputs, 0)
