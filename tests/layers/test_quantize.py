"""8-bit adder layers: exact on the integers, close to the float layer, clipped and zero-padded right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from addercost.errors import ArgumentError, ShapeError
from addercost.layers import AdderConv2d, AdderLinear, BinaryConv2d, quantize_adder
from addercost.layers.quantize import quantize
from tests.layers import oracle


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Many small operations: threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="plain"),
        pytest.param({"padding": 1, "bias": True}, id="padding-and-bias"),
        pytest.param({"stride": 2, "groups": 2}, id="stride-and-groups"),
    ],
)
def test_output_is_the_scaled_integer_sum(options: dict[str, Any]) -> None:
    layer = AdderConv2d(4, 6, 3, **options)
    x = torch.randn(2, 4, 6, 5)
    quantized = quantize_adder(layer, x)
    low = min(x.min().item(), layer.weight.min().item())
    high = max(x.max().item(), layer.weight.max().item())
    scale = (high - low) / 255
    codes, weights = (quantize(t.detach(), scale, quantized.zero) for t in (x, layer.weight))
    # In the oracle a padded tap has x = 0, so both sides are moved to codes around zero.
    expected = oracle.convolution(
        codes.double() - quantized.zero,
        weights.double() - quantized.zero,
        lambda a, b: -abs(a - b),
        stride=layer.stride,
        padding=layer.padding,
        groups=layer.groups,
    )
    expected = expected * scale + (0 if layer.bias is None else layer.bias.double()[:, None, None])
    torch.testing.assert_close(quantized(x).double(), expected.detach(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["conv", "linear"])
def test_a_calibrated_layer_stays_within_half_a_step_per_operand(kind: str) -> None:
    layer = AdderConv2d(16, 8, 3, padding=1) if kind == "conv" else AdderLinear(144, 8, bias=True)
    x = torch.randn(4, 16, 9, 9) if kind == "conv" else torch.randn(4, 3, 144)
    quantized = quantize_adder(layer, x)
    # Each of 144 terms errs by at most half a step for the input and half for the weight.
    assert (quantized(x) - layer(x)).abs().max() <= 144 * quantized.scale + 1e-3
    relative = (quantized(x) - layer(x)).norm() / layer(x).norm()
    assert relative < 0.01


@pytest.mark.parametrize(("sign", "zero"), [(1.0, 0), (-1.0, 255)], ids=["positive", "negative"])
def test_a_range_on_one_side_of_zero_is_extended_to_zero(sign: float, zero: int) -> None:
    # A padded tap is 0, so 0 needs a code although no weight and no input is near it.
    layer, x = AdderConv2d(2, 3, 3, padding=1), sign * (2 + torch.rand(1, 2, 4, 4))
    with torch.no_grad():
        layer.weight.uniform_(2, 3).mul_(sign)
    quantized = quantize_adder(layer, x)
    largest = max(x.abs().max().item(), layer.weight.abs().max().item())
    assert quantized.zero == zero
    assert quantized.scale.item() == pytest.approx(largest / 255)
    # Each of 2·3·3 terms errs by at most half a step for the input and half for the weight.
    assert (quantized(x) - layer(x)).abs().max() <= 18 * quantized.scale + 1e-4


@pytest.mark.parametrize("pad_value", [0, 7, 255])
def test_a_padded_tap_of_bytes_has_the_pad_value(pad_value: int) -> None:
    x = torch.randint(0, 256, (2, 4, 5, 6), dtype=torch.uint8)
    w = torch.randint(0, 256, (6, 2, 3, 2), dtype=torch.uint8)
    # The oracle's padded tap is 0, and only differences count: every code is taken relative to the pad value.
    expected = oracle.convolution(
        x.double() - pad_value,
        w.double() - pad_value,
        lambda a, b: -abs(a - b),
        stride=(2, 1),
        padding=(1, 2),
        groups=2,
    )
    out = torch.ops.addercost.adder_conv2d_u8(x, w, pad_value, [2, 1], [1, 2], [1, 1], 2)
    assert torch.equal(out.double(), expected)


def test_codes_are_clipped_and_zero_is_exact() -> None:
    values = torch.tensor([-10.0, -1.0, 0.0, 1.5, 10.0, float("nan"), float("inf"), -float("inf")])
    assert quantize(values, 1 / 64, 64).tolist() == [0, 0, 64, 160, 255, 0, 255, 0]


def test_state_survives_a_checkpoint_and_has_no_parameters() -> None:
    x = torch.randn(2, 4, 6, 6)
    first, second = (quantize_adder(AdderConv2d(4, 6, 3, bias=True), x) for _ in range(2))
    assert list(first.parameters()) == []
    assert first.weight.dtype == torch.uint8
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x), second(x))


@pytest.mark.parametrize(
    ("name", "x", "others"),
    [
        pytest.param("adder_conv2d_u8", torch.arange(240, dtype=torch.uint8), (), id="bytes"),
        pytest.param(
            "adder_conv2d_quantized",
            torch.linspace(-2, 2, 240),
            (torch.tensor(0.02), None),
            id="floats",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            "adder_conv2d_quantized",
            torch.linspace(-2, 2, 240),
            (torch.tensor(0.02), torch.arange(6.0)),
            id="bias",
        ),
    ],
)
def test_operators_pass_opcheck(name: str, x: Tensor, others: tuple[Tensor | None, ...]) -> None:
    w = torch.randint(0, 256, (6, 2, 3, 3), dtype=torch.uint8)
    place = ([2, 1], [1, 1], [1, 1], 2)
    operator = getattr(torch.ops.addercost, name).default
    torch.library.opcheck(operator, (x.view(2, 4, 6, 5), w, *others, 7, *place))


def test_bad_input_of_the_operator() -> None:
    x, w, place = torch.randn(1, 3, 4, 4), torch.zeros(2, 3, 1, 1), ([1, 1], [0, 0], [1, 1], 1)
    with pytest.raises(ShapeError, match="uint8 weight"):
        torch.ops.addercost.adder_conv2d_quantized(x, w, torch.ones(()), None, 0, *place)
    with pytest.raises(ShapeError, match=r"bias must have shape \(2,\)"):
        torch.ops.addercost.adder_conv2d_quantized(x, w.byte(), torch.ones(()), torch.ones(3), 0, *place)
    with pytest.raises(ShapeError, match="channels"):
        torch.ops.addercost.adder_conv2d_quantized(x[:, :2], w.byte(), torch.ones(()), None, 0, *place)


def test_bad_input() -> None:
    with pytest.raises(ArgumentError, match="BinaryConv2d"):
        quantize_adder(BinaryConv2d(3, 2, 1))
    with pytest.raises(ArgumentError, match="empty or not finite"):
        quantize_adder(AdderLinear(3, 2), torch.tensor([float("inf")]))
    quantized = quantize_adder(AdderLinear(3, 2))
    with pytest.raises(ShapeError, match="takes floats"):
        quantized(torch.ones(1, 3, dtype=torch.int64))
    with pytest.raises(ShapeError, match="uint8"):
        torch.ops.addercost.adder_conv2d_u8(
            torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1), 0, [1, 1], [0, 0], [1, 1], 1
        )


@pytest.mark.exhaustive
def test_accuracy_on_digits_changes_by_less_than_two_points(one_thread: None) -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="the digits come with scikit-learn")
    torch.manual_seed(0)
    pixels, labels = datasets.load_digits(return_X_y=True)
    images = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 8 - 1
    labels = torch.tensor(labels)
    order = torch.randperm(len(images))
    train, test = order[:1000], order[1000:]
    first = nn.Sequential(nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    adder = AdderConv2d(8, 16, 3, stride=2)
    last = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10))
    parameters = [*first.parameters(), *adder.parameters(), *last.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
    for _ in range(5):
        for batch in torch.randperm(len(train)).split(50):
            optimizer.zero_grad()
            out = last(adder(first(images[train[batch]])))
            nn.functional.cross_entropy(out, labels[train[batch]]).backward()
            assert adder.weight.grad is not None
            # AdderNet's adaptive rate, Chen et al., CVPR 2020, eq. 13, with η = 0.2.
            adder.weight.grad *= 0.2 * adder.weight.numel() ** 0.5 / adder.weight.grad.norm()
            optimizer.step()
    first.eval(), last.eval()
    quantized = quantize_adder(adder, first(images[train]))

    def accuracy(layer: nn.Module) -> float:
        with torch.no_grad():
            return float((last(layer(first(images[test]))).argmax(1) == labels[test]).float().mean())

    assert accuracy(adder) > 0.85
    assert abs(accuracy(quantized) - accuracy(adder)) < 0.02
