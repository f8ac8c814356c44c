"""What happens in an epoch: which images, which random choices, and what the log has of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn

from addercost.train import epochs
from addercost.train.epochs import EpochRow, Sums, Trainer
from addercost.train.images import Data, Draw
from addercost.train.processes import Processes
from addercost.train.randomness import shuffled
from addercost.train.rates import make_optimizer, set_learning_rate
from addercost.train.settings import TrainSettings

CPU = torch.device("cpu")


class RecordedImages:
    """Images of one pixel, all in memory. asked: the indices of every batch; draws: what was to be drawn."""

    def __init__(self, values: Sequence[float], labels: Sequence[int]) -> None:
        self.values = torch.tensor(values)[:, None, None, None]
        self._labels = torch.tensor(labels)
        self.asked: list[list[int]] = []
        self.draws: list[Draw | None] = []

    @property
    def labels(self) -> Tensor:
        return self._labels

    def batches(self, indices: Sequence[Tensor], draw: Draw | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        self.draws.append(draw)
        for chosen in indices:
            self.asked.append(chosen.tolist())
            yield self.values[chosen], self._labels[chosen]


def trainer_of(
    model: nn.Module,
    train: RecordedImages,
    test: RecordedImages | None = None,
    batch: int = 2,
    seed: int = 7,
    rank: int = 0,
    learning_rate: float = 0.0,
) -> Trainer:
    """A trainer whose weights stay as they are, unless a learning rate is given."""
    settings = TrainSettings("x", "x", batch=batch, seed=seed, rate="plain")  # type: ignore[arg-type]
    optimizer = make_optimizer(model, settings)
    set_learning_rate(optimizer, learning_rate)
    data = Data("x", ("a", "b"), train, test or train, (1, 1, 1))
    return Trainer(model, optimizer, settings, data, Processes(rank, 2 if rank else 1, CPU))


def run_epoch(trainer: Trainer, epoch: int) -> Sums:
    sums = trainer.empty_sums()
    trainer.run_steps(epoch, 0, sums, lambda done: None)
    return sums


def linear(weight: Sequence[float]) -> nn.Sequential:
    """Scores w₀·x and w₁·x of an image x."""
    layer = nn.Linear(1, 2, bias=False)
    layer.weight.data = torch.tensor(weight)[:, None]
    return nn.Sequential(nn.Flatten(), layer)


def probabilities(x: float, weight: Sequence[float]) -> list[float]:
    """Softmax of the scores."""
    powers = [math.exp(w * x) for w in weight]
    return [power / sum(powers) for power in powers]


def batch_norm_of_gradient(xs: Sequence[float], labels: Sequence[int], weight: Sequence[float]) -> float:
    """ℓ2 norm of ∂/∂w of the batch's mean cross entropy: each image gives (p_j − [j is its class])·x."""
    gradient = [0.0, 0.0]
    for x, label in zip(xs, labels, strict=True):
        for j, p in enumerate(probabilities(x, weight)):
            gradient[j] += (p - (j == label)) * x / len(xs)
    return math.hypot(*gradient)


XS, LABELS, WEIGHT = [0.5, 1.0, 2.0, 4.0, -1.0], [0, 1, 0, 1, 1], [0.3, -0.2]


def row_of(trainer: Trainer, epoch: int = 0) -> EpochRow:
    return trainer.finish(epoch, 0.1, run_epoch(trainer, epoch))


def test_the_log_has_the_mean_norm_of_a_steps_gradient() -> None:
    """Two steps of two images; their sum, or the norm of the mean gradient, would be another number."""
    images = RecordedImages(XS, LABELS)
    row = row_of(trainer_of(linear(WEIGHT), images))
    norms = [
        batch_norm_of_gradient([XS[i] for i in batch], [LABELS[i] for i in batch], WEIGHT)
        for batch in images.asked[:2]
    ]
    assert row.gradient_norms == {"1": pytest.approx(sum(norms) / 2)}


def test_loss_and_accuracy_are_of_all_images_of_the_epoch() -> None:
    """The loss of an image of class c is −log p_c; the class said is the likelier one."""
    images = RecordedImages(XS, LABELS)
    row = row_of(trainer_of(linear(WEIGHT), images))
    seen = [i for batch in images.asked[:2] for i in batch]
    losses = [-math.log(probabilities(XS[i], WEIGHT)[LABELS[i]]) for i in seen]
    right = [probabilities(XS[i], WEIGHT)[LABELS[i]] > 0.5 for i in seen]
    assert row.train_loss == pytest.approx(sum(losses) / 4)
    assert row.train_accuracy_percent == pytest.approx(100 * sum(right) / 4)


def test_the_test_loss_is_the_mean_over_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five images in batches of four and one: a mean of the batches' means would count the last fourfold."""
    monkeypatch.setattr(epochs, "TEST_BATCH", 4)
    images = RecordedImages(XS, LABELS)
    loss, predicted = trainer_of(linear(WEIGHT), images).test(images)
    assert [len(batch) for batch in images.asked] == [4, 1] and images.draws == [None]
    losses = [-math.log(probabilities(x, WEIGHT)[label]) for x, label in zip(XS, LABELS, strict=True)]
    assert loss == pytest.approx(sum(losses) / 5)
    assert predicted.tolist() == [int(x * WEIGHT[1] > x * WEIGHT[0]) for x in XS]


def test_every_epoch_has_an_order_and_draws_of_its_own() -> None:
    images = RecordedImages([float(i) for i in range(20)], [0, 1] * 10)
    trainer = trainer_of(linear(WEIGHT), images, batch=4, seed=3)
    orders = []
    for epoch in (0, 1, 2):
        images.asked.clear()
        run_epoch(trainer, epoch)
        orders.append([i for batch in images.asked for i in batch])
        assert orders[-1] == shuffled(20, 3, epoch).tolist()
    assert len({tuple(order) for order in orders}) == 3
    assert images.draws == [Draw(3, 0), Draw(3, 1), Draw(3, 2)]


def test_images_that_fill_no_batch_are_others_in_every_epoch() -> None:
    """Of five images one is left out of two batches of two."""
    images = RecordedImages(XS, LABELS)
    trainer = trainer_of(linear(WEIGHT), images)
    left_out = set()
    for epoch in range(12):
        images.asked.clear()
        run_epoch(trainer, epoch)
        (missing,) = set(range(5)) - {i for batch in images.asked for i in batch}
        left_out.add(missing)
    assert len(left_out) > 1


class Masks(nn.Module):
    """Dropout of 32 ones: its mask is remembered, as is whether it was in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout, self.scale = nn.Dropout(0.5), nn.Parameter(torch.ones(2))
        self.masks: list[tuple[float, ...]] = []
        self.modes: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.masks.append(tuple(self.dropout(torch.ones(32)).tolist()))
        self.modes.append(self.training)
        return x.flatten(1) * self.scale


def masks_of(seed: int = 7, rank: int = 0, epochs: int = 2) -> list[tuple[float, ...]]:
    model = Masks()
    trainer = trainer_of(model, RecordedImages(XS, LABELS), seed=seed, rank=rank)
    for epoch in range(epochs):
        run_epoch(trainer, epoch)
    return model.masks


def test_dropout_draws_anew_in_every_step_epoch_process_and_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the same in a run that is repeated."""
    monkeypatch.setattr(Processes, "parallel", lambda self, model: model)
    first = masks_of()
    assert first == masks_of()
    assert len({*first, *masks_of(seed=8), *masks_of(rank=1)}) == 3 * 4


def test_training_mode_is_for_steps_and_evaluation_for_tests() -> None:
    model = Masks()
    trainer = trainer_of(model, RecordedImages(XS, LABELS))
    row_of(trainer, 0)
    row_of(trainer, 1)
    assert model.modes == [True, True, False] * 2


class HalfDead(nn.Module):
    """What one of its two layers puts out is multiplied by zero."""

    def __init__(self) -> None:
        super().__init__()
        self.dead, self.live = nn.Linear(1, 2), nn.Linear(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return 0 * self.dead(x.flatten(1)) + self.live(x.flatten(1))


def test_steps_with_a_gradient_of_zeros_are_counted() -> None:
    torch.manual_seed(0)
    row = row_of(trainer_of(HalfDead(), RecordedImages(XS, LABELS)))
    assert row.zero_gradients == {"dead": 2}
    assert row.gradient_norms["dead"] == 0 < row.gradient_norms["live"]
