"""`statically_quantized`: a float network in 8 bits by torch's own static quantisation."""

import pytest
import torch
from torch import nn

import addercost
from addercost.errors import ModelError
from addercost.layers import statically_quantized


class Blocks(nn.Module):
    """A depthwise and a grouped convolution, a squeeze, a residual sum, a shuffle and a linear layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.grouped = nn.Conv2d(16, 16, 3, padding=1, groups=4)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 16, 1), nn.Hardsigmoid())
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = self.stem(x)
        x = torch.relu(x + self.grouped(self.depthwise(x)))
        x = x * self.squeeze(x)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
        return self.head(x.mean([2, 3]))


class WantsValues(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.fixture(scope="module")
def pair():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Blocks().eval(), torch.rand(1, 3, 16, 16)


@pytest.fixture(scope="module")
def quantized(pair):
    model, x = pair
    return statically_quantized(model, x)


def test_the_network_computes_nearly_the_same(pair, quantized):
    """Codes have 7 or 8 bits: 1/128 of the range for each of some ten roundings."""
    model, x = pair
    with torch.no_grad():
        exact, found = model(x), quantized(x)
    assert (found - exact).abs().max() < 0.1 * (exact.max() - exact.min())


def test_its_layers_are_operators_on_codes_and_the_model_is_as_before(pair, quantized):
    model, x = pair
    assert isinstance(model.stem[1], nn.BatchNorm2d) and not model.training
    names = [call.name for call in addercost.trace_model(quantized, x).calls]
    # Three layers of the trunk and one of the squeeze; the first has its norm and ReLU in the same kernel.
    assert (names.count("quantized.conv2d_relu"), names.count("quantized.conv2d")) == (1, 3)
    assert {"quantized.linear", "quantized.mul", "aten.clone"} <= set(names)
    assert any(name.startswith("quantized.add") for name in names)


def test_equal_weights_and_inputs_give_equal_networks(pair, quantized):
    model, x = pair
    torch.manual_seed(7)
    assert torch.equal(statically_quantized(model, x)(x), quantized(x))


def test_a_network_on_codes_is_returned_as_it_is(pair, quantized):
    assert statically_quantized(quantized, pair[1]) is quantized


@pytest.mark.parametrize(
    ("model", "said"),
    [
        pytest.param(WantsValues(), "torch.fx cannot record its forward", id="control flow"),
        pytest.param(nn.Conv2d(3, 4, 3), "does not run", id="other channels"),
    ],
)
def test_what_has_no_8_bit_form_is_one_line(model, said):
    with pytest.raises(ModelError, match=said) as found:
        statically_quantized(model, torch.rand(1, 2, 8, 8))
    assert "\n" not in str(found.value) and len(str(found.value)) < 300


def test_an_operator_without_a_kernel_for_codes_is_named(pair, monkeypatch):
    """Such as a reflecting pad behind a convolution, which torch takes for one that moves codes."""

    class Refusing(nn.Module):
        def forward(self, x):
            raise NotImplementedError("Could not run 'aten::x' with codes. And a long text")

    from torch.ao.quantization import quantize_fx

    monkeypatch.setattr(quantize_fx, "convert_fx", lambda made: Refusing())
    with pytest.raises(ModelError, match="no kernel: Could not run 'aten::x' with codes;"):
        statically_quantized(pair[0], pair[1])
