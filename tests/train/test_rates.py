"""The adaptive learning rate, its alternatives and the schedules, against loops of numbers. Needs torch."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import nn

from addercost.layers import AdderConv2d, AdderLinear, BinaryConv2d
from addercost.train.epochs import Trainer
from addercost.train.images import Data, MemoryImages
from addercost.train.processes import Processes
from addercost.train.rates import (
    adder_weights,
    gradient_norms,
    layer_weights,
    make_optimizer,
    scale_adaptively,
    set_adder_gradient,
    set_learning_rate,
)
from addercost.train.schedules import learning_rate
from addercost.train.settings import AdderGradient, AdderRate, Optimizer, RateSchedule, TrainSettings

ALONE = Processes(0, 1, torch.device("cpu"))
Rows = list[list[float]]


def adaptive(gradient: Sequence[float], eta: float) -> list[float]:
    """η·√k·g / ‖g‖₂, number by number."""
    norm = math.sqrt(sum(g * g for g in gradient))
    return [g * eta * math.sqrt(len(gradient)) / max(norm, 1e-12) for g in gradient]


@pytest.mark.parametrize("eta", [0.2, 1.5])
@pytest.mark.parametrize("scale", [1e-10, 1.0, 1e6])
def test_adaptive_rule(eta: float, scale: float) -> None:
    draw = random.Random(1)
    weights = [torch.zeros(shape, dtype=torch.float64) for shape in ((2, 3, 1, 2), (5,), (1,))]
    for weight in weights:
        numbers = [draw.gauss(0, scale) for _ in range(weight.numel())]
        weight.grad = torch.tensor(numbers, dtype=torch.float64).view(weight.shape)
    expected = [adaptive(w.grad.flatten().tolist(), eta) for w in weights if w.grad is not None]
    scale_adaptively(weights, eta)
    for weight, numbers in zip(weights, expected, strict=True):
        assert weight.grad is not None
        assert weight.grad.flatten().tolist() == pytest.approx(numbers, rel=1e-12)
        assert float(weight.grad.norm()) == pytest.approx(eta * math.sqrt(weight.numel()))


def test_zero_and_missing_gradients_stay() -> None:
    weights = [torch.ones(3), torch.ones(2)]
    weights[0].grad = torch.zeros(3)
    scale_adaptively(weights, 0.2)
    assert weights[0].grad.tolist() == [0, 0, 0] and weights[1].grad is None


def test_a_norm_below_the_floor_is_taken_as_the_floor() -> None:
    weight = torch.zeros(4, dtype=torch.float64)
    weight.grad = torch.tensor([1e-13, 0, 0, 0], dtype=torch.float64)
    scale_adaptively([weight], 0.2)
    assert weight.grad[0].item() == pytest.approx(1e-13 / 1e-12 * 0.2 * 2)


def gradient_by_hand(w: Rows, xs: Rows, labels: list[int], sign: bool) -> Rows:
    """Of the mean cross entropy of scores s_j = -Σ_i |x_i - w_ji|, by ∂s_j/∂w_ji = x_i - w_ji or its sign."""
    made = [[0.0] * len(row) for row in w]
    for x, label in zip(xs, labels, strict=True):
        scores = [-sum(abs(a - b) for a, b in zip(x, row, strict=True)) for row in w]
        total = sum(math.exp(s) for s in scores)
        for j, row in enumerate(w):
            slope = (math.exp(scores[j]) / total - (j == label)) / len(xs)
            for i, weight in enumerate(row):
                distance = x[i] - weight
                made[j][i] += slope * (math.copysign(1, distance) if sign else distance)
    return made


@pytest.mark.parametrize("optimizer", Optimizer)
@pytest.mark.parametrize("sign", [False, True], ids=["full", "sign"])
@pytest.mark.parametrize("rate", AdderRate)
def test_order_of_operations(optimizer: Optimizer, sign: bool, rate: AdderRate) -> None:
    """Three steps of an adder layer by hand: scale the gradient, add weight decay, add momentum, subtract.

    A scaling after weight decay or after momentum gives other weights; weight decay of 0.1 makes that plain.
    """
    draw = random.Random(3)
    xs = [[draw.gauss(0, 1) for _ in range(3)] for _ in range(4)]
    w = [[draw.gauss(0, 1) for _ in range(3)] for _ in range(2)]
    labels, lr, momentum, decay, eta = [0, 1, 1, 0], 0.05, 0.9, 0.1, 0.3
    settings = TrainSettings(
        "x", "x", batch=4, optimizer=optimizer, learning_rate=lr, momentum=momentum, weight_decay=decay,
        rate=rate, eta=eta, increase=3.0, adder_gradient=AdderGradient.SIGN if sign else AdderGradient.FULL,
    )  # fmt: skip
    layer = AdderLinear(3, 2, dtype=torch.float64)
    layer.weight.data = torch.tensor(w, dtype=torch.float64)
    model = nn.Sequential(nn.Flatten(), layer)
    set_adder_gradient(model, settings.adder_gradient)
    images = Given(torch.tensor(xs, dtype=torch.float64)[:, :, None, None], torch.tensor(labels))
    made = make_optimizer(model, settings)
    set_learning_rate(made, lr)
    trainer = Trainer(model, made, settings, Data("x", ("a", "b"), images, images, (3, 1, 1)), ALONE)

    velocity = [[0.0] * 3 for _ in w]
    for epoch in range(3):
        raw = gradient_by_hand(w, xs, labels, sign)
        flat = [g for row in raw for g in row]
        scaled = adaptive(flat, eta) if rate is AdderRate.ADAPTIVE else flat
        step = lr * (3.0 if rate is AdderRate.INCREASED else 1.0)
        for j in range(2):
            for i in range(3):
                pull = scaled[3 * j + i] + decay * w[j][i]
                velocity[j][i] = momentum * velocity[j][i] + pull if epoch else pull
                nag = optimizer is Optimizer.NAG
                w[j][i] -= step * (pull + momentum * velocity[j][i] if nag else velocity[j][i])
        sums = trainer.empty_sums()
        trainer.run_steps(epoch, 0, sums, lambda done: None)
        assert layer.weight.flatten().tolist() == pytest.approx([v for row in w for v in row], rel=1e-9)
        # The log has the norm before the scaling.
        assert sums.norms.item() == pytest.approx(math.sqrt(sum(g * g for g in flat)), rel=1e-9)


class Given(MemoryImages):
    """Images as they are, in the order given."""

    def __init__(self, values: torch.Tensor, labels: torch.Tensor) -> None:
        super().__init__(values, labels, torch.zeros(1), torch.ones(1), False)

    def batches(self, indices, draw=None):  # type: ignore[no-untyped-def]
        for chosen in indices:
            yield self.pixels[chosen], self.labels[chosen]


def mixed() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), AdderConv2d(2, 2, 3, bias=True), BinaryConv2d(2, 2, 1), nn.Linear(2, 2)
    )


def test_only_weights_of_adder_layers_are_scaled() -> None:
    model = mixed()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    scale_adaptively(adder_weights(model), 0.2)
    changed = {name for name, p in model.named_parameters() if p.grad is not None and (p.grad != 2).any()}
    assert changed == {"1.weight"}
    assert model[1].weight.grad.unique().tolist() == pytest.approx([0.2])


def test_increased_rate_is_of_adder_weights_alone() -> None:
    model = mixed()
    settings = TrainSettings("x", "x", rate=AdderRate.INCREASED, increase=30.0)
    optimizer = make_optimizer(model, settings)
    set_learning_rate(optimizer, 0.01)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: rates[id(p)] for name, p in model.named_parameters()} == {
        name: pytest.approx(0.3 if name == "1.weight" else 0.01) for name, _ in model.named_parameters()
    }


def test_a_model_of_adder_weights_alone() -> None:
    optimizer = make_optimizer(AdderLinear(2, 2), TrainSettings("x", "x", rate=AdderRate.INCREASED))
    assert [len(group["params"]) for group in optimizer.param_groups] == [1]


def test_frozen_weights_are_left_out() -> None:
    model = mixed()
    model[1].weight.requires_grad_(False)
    assert not adder_weights(model)
    assert list(layer_weights(model)) == ["0", "2", "3"]
    assert gradient_norms(layer_weights(model)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("gradient", AdderGradient)
def test_gradient_reaches_every_adder_layer(gradient: AdderGradient) -> None:
    model = nn.Sequential(AdderConv2d(1, 1, 1), nn.Sequential(AdderLinear(1, 1)))
    set_adder_gradient(model, gradient)
    assert model[0].gradient == model[1][0].gradient == gradient.value


@pytest.mark.parametrize(
    ("schedule", "epoch", "expected"),
    [
        pytest.param(RateSchedule.COSINE, 0, 0.8, id="cosine starts at the base"),
        pytest.param(RateSchedule.COSINE, 5, 0.4, id="cosine is half way at half time"),
        pytest.param(RateSchedule.COSINE, 2, 0.8 * (1 + math.cos(math.pi / 5)) / 2, id="cosine"),
        pytest.param(RateSchedule.POLY, 0, 0.8, id="poly starts at the base"),
        pytest.param(RateSchedule.POLY, 5, 0.8 * 0.5**0.9, id="poly"),
        pytest.param(RateSchedule.CONSTANT, 9, 0.8, id="constant"),
    ],
)
def test_schedules(schedule: RateSchedule, epoch: int, expected: float) -> None:
    assert learning_rate(schedule, 0.8, epoch, 10) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["learning_rate", "eta", "increase"])
def test_a_rate_must_be_above_zero(name: str) -> None:
    from addercost.errors import ArgumentError

    for value in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ArgumentError, match="above 0"):
            replace(TrainSettings("x", "x"), **{name: value}).checked()
