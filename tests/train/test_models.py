"""The zoo in training: models fit the data they are given, a batch norm follows every adder layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from addercost.arithmetic import Arithmetic
from addercost.counts.arithmetics import WITH_LAYERS
from addercost.layers import AdderConv2d, AdderLinear
from addercost.models.blocks import activation
from addercost.models.zoo import ZOO
from addercost.train.prepare import prepare
from addercost.train.rates import adder_weights, layer_weights
from addercost.train.settings import TrainSettings


@pytest.fixture(autouse=True)
def reference_kernels(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    """Compiling would take longest."""
    monkeypatch.setenv("ADDERCOST_KERNEL", "reference")


@pytest.mark.parametrize("name", ZOO)
def test_a_batch_norm_follows_every_adder_layer(name: str) -> None:
    """In the order of the modules, which is that of the forward in these."""
    with torch.device("meta"):
        leaves = [m for m in ZOO[name].build(Arithmetic.ADDER).modules() if not list(m.children())]
    adders = [i for i, m in enumerate(leaves) if isinstance(m, AdderConv2d | AdderLinear)]
    assert adders
    for i in adders:
        assert isinstance(leaves[i + 1], nn.BatchNorm1d | nn.BatchNorm2d), leaves[i]


@pytest.mark.parametrize(
    ("name", "arithmetic"),
    [
        pytest.param(
            name,
            arithmetic,
            id=f"{name}-{arithmetic}",
            # `make test` takes the arithmetics in turns.
            marks=() if arithmetic is WITH_LAYERS[place % len(WITH_LAYERS)] else pytest.mark.exhaustive,
        )
        for place, name in enumerate(ZOO)
        for arithmetic in WITH_LAYERS
    ],
)
def test_as_many_classes_as_the_data(name: str, arithmetic: Arithmetic) -> None:
    with torch.device("meta"):
        model = ZOO[name].build(arithmetic, 37).eval()
        assert model(torch.empty(ZOO[name].input_shape)).shape == (1, 37)


# The reference takes 3 s for the adders of LeNet++.
@pytest.mark.parametrize("arithmetic", WITH_LAYERS)
@pytest.mark.parametrize(
    "name", ["lenet5-bn", pytest.param("lenet++", marks=pytest.mark.exhaustive), "resnet20-cifar"]
)
def test_every_weight_gets_a_gradient(name: str, arithmetic: Arithmetic) -> None:
    """In particular through binary layers, which learn nothing behind a ReLU: its signs are all +1."""
    torch.manual_seed(0)
    model = ZOO[name].build(arithmetic).train()
    scores = model(torch.randn(4, *ZOO[name].input_shape[1:]))
    nn.functional.cross_entropy(scores, torch.tensor([0, 1, 2, 3])).backward()
    for layer, weight in layer_weights(model).items():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, layer
    expected = arithmetic is Arithmetic.ADDER
    assert bool(adder_weights(model)) is expected


def test_what_stands_before_a_binary_layer_keeps_signs() -> None:
    x = torch.tensor([-2.0, -0.5, 0.5, 2.0])
    assert activation(Arithmetic.XNOR)(x).sign().tolist() == [-1, -1, 1, 1]
    assert activation(Arithmetic.ADDER)(x).tolist() == [0, 0, 0.5, 2]


@pytest.mark.parametrize("arithmetic", WITH_LAYERS)
def test_lenet_plus_plus(arithmetic: Arithmetic) -> None:
    """The paper's widths and its two features, from which alone the scores follow."""
    model = ZOO["lenet++"].build(arithmetic).eval()
    widths = [weight.shape[0] for weight in layer_weights(model).values()]
    assert widths == [32, 32, 64, 64, 128, 128, 2, 10]
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        features = model.embed(x)
        assert features.shape == (2, 2)
        assert torch.equal(model.classifier(features), model(x))


def test_grey_digits_in_a_network_for_colour() -> None:
    made = prepare(TrainSettings("zoo:resnet20-cifar", "digits"))
    assert made.data.shape == (3, 32, 32)


def test_the_first_weights_are_drawn_from_the_seed(small_net: str) -> None:
    """And leave the caller's generator as it was."""
    before = torch.get_rng_state()
    one, again, other = (prepare(TrainSettings(small_net, "digits", seed=seed)).model for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    weights = [layer_weights(model) for model in (one, again, other)]
    for name in weights[0]:
        assert torch.equal(weights[0][name], weights[1][name])
        assert not torch.equal(weights[0][name], weights[2][name])
