"""One epoch: its steps, the sums over them, and the test at its end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from addercost.errors import ArgumentError, TrainingError
from addercost.reading import AnyNumber
from addercost.train.images import Data, Draw, Images
from addercost.train.not_finite import first_bad_gradient, first_not_finite
from addercost.train.processes import Processes
from addercost.train.randomness import derived_seed, shuffled
from addercost.train.rates import adder_weights, gradient_norms, layer_weights, scale_adaptively
from addercost.train.settings import AdderRate, TrainSettings

TEST_BATCH = 500


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One line of the log.

    gradient_norms: for each layer, the mean over the steps of the ℓ2 norm of its weight gradient, before
    scaling. test_loss: may be infinite or NaN, which does not stop training. zero_gradients: in how many
    steps a layer's gradient was all zeros, for layers in which that happened."""

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy_percent: float
    test_loss: AnyNumber
    test_accuracy_percent: float
    gradient_norms: Mapping[str, float] = field(default_factory=dict)
    zero_gradients: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Sums:
    """Sums over the steps of an epoch so far. totals: [loss, correct, images] float64. norms, zeros:
    [layers].
    """

    totals: Tensor
    norms: Tensor
    zeros: Tensor

    @classmethod
    def empty(cls, layers: int, device: torch.device) -> Sums:
        return cls(*(torch.zeros(n, dtype=torch.float64, device=device) for n in (3, layers, layers)))


class Trainer:
    """A model in training. `run_steps` trains it, `finish` ends an epoch, and `test` measures its
    accuracy.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        settings: TrainSettings,
        data: Data,
        together: Processes,
    ) -> None:
        self.model, self.optimizer, self.settings, self.data = model, optimizer, settings, data
        self.together = together
        self.parallel = together.parallel(model)
        self.weights = layer_weights(model)
        self.adders = adder_weights(model)
        images = len(data.train.labels)
        if settings.batch > images:
            raise ArgumentError(
                f"a batch of {settings.batch} is more than the {images} training images", "lower --batch"
            )
        if settings.batch % together.count:
            raise ArgumentError(
                f"a batch of {settings.batch} does not divide among {together.count} processes",
                f"give --batch {settings.batch - settings.batch % together.count or together.count}",
            )
        self.steps_per_epoch = images // settings.batch
        """The images after the last whole batch are left out. They are different ones in every epoch."""

    def empty_sums(self) -> Sums:
        return Sums.empty(len(self.weights), self.together.device)

    def run_steps(self, epoch: int, first: int, sums: Sums, after: Callable[[int], None]) -> None:
        """Runs the steps of `epoch` from number `first` on. `after` is called with the number of finished
        steps.

        Raises TrainingError at a loss or gradient that is not finite, before the weights change.
        """
        settings = self.settings
        self.model.train()
        order = shuffled(len(self.data.train.labels), settings.seed, epoch)
        batches = [
            order[step * settings.batch : (step + 1) * settings.batch]
            for step in range(first, self.steps_per_epoch)
        ]
        loaded = self.data.train.batches(self.together.share(batches), Draw(settings.seed, epoch))
        for step, (images, labels) in enumerate(loaded, first):
            self._step(epoch, step, images, labels, sums)
            after(step + 1)

    def _step(self, epoch: int, step: int, images: Tensor, labels: Tensor, sums: Sums) -> None:
        images, labels = images.to(self.together.device), labels.to(self.together.device)
        # Dropout draws from the global generator. It is seeded in every step, so a checkpoint need not
        # contain its state.
        torch.manual_seed(derived_seed("step", self.settings.seed, epoch, step, self.together.rank))
        self.optimizer.zero_grad(set_to_none=True)
        scores = self.parallel(images)
        loss = F.cross_entropy(scores, labels)
        if not math.isfinite(loss.item()):
            raise self._stopped(epoch, step, "the loss", first_not_finite(self.model, images))
        loss.backward()
        norms = gradient_norms(self.weights)
        if not bool(torch.isfinite(norms).all()):
            raise self._stopped(epoch, step, "a gradient", first_bad_gradient(self.weights, norms))
        if self.settings.rate is AdderRate.ADAPTIVE:
            scale_adaptively(self.adders, self.settings.eta)
        self.optimizer.step()
        with torch.no_grad():
            correct = (scores.argmax(1) == labels).sum()
            count = len(labels)
            sums.totals += torch.stack(
                [loss.double() * count, correct.double(), torch.full_like(loss, count, dtype=torch.float64)]
            )
            sums.norms += norms
            sums.zeros += norms == 0

    def _stopped(self, epoch: int, step: int, what: str, where: str) -> TrainingError:
        return TrainingError(
            f"training stopped in epoch {epoch + 1}, step {step + 1}: {what} is not finite, {where}",
            f"lower --lr or --eta{self._kept(epoch)}",
        )

    def _kept(self, epoch: int) -> str:
        return f"; the checkpoint of epoch {epoch} is kept" if epoch else ""

    def finish(self, epoch: int, rate: float, sums: Sums) -> EpochRow:
        """The log's line for a finished epoch. Raises TrainingError if every gradient of the epoch
        was zero.
        """
        loss, correct, count = self.together.summed(sums.totals.clone()).tolist()
        zeros = {name: int(n) for name, n in zip(self.weights, sums.zeros.tolist(), strict=True) if n}
        if zeros and len(zeros) == len(self.weights) and min(zeros.values()) == self.steps_per_epoch:
            raise TrainingError(
                f"training stopped: the gradient of every layer was zero in every step of epoch {epoch + 1}",
                f"nothing learns: lower --lr{self._kept(epoch)}",
            )
        test_loss, predicted = self.test(self.data.test)
        right = int((predicted == self.data.test.labels).sum())
        return EpochRow(
            epoch=epoch + 1,
            learning_rate=rate,
            train_loss=loss / count,
            train_accuracy_percent=100 * correct / count,
            test_loss=test_loss,
            test_accuracy_percent=100 * right / len(predicted),
            gradient_norms={
                name: norm / self.steps_per_epoch
                for name, norm in zip(self.weights, sums.norms.tolist(), strict=True)
            },
            zero_gradients=zeros,
        )

    @torch.no_grad()
    def test(self, images: Images) -> tuple[float, Tensor]:
        """Mean loss, and the predicted class of each image, [N] int64 on the CPU. The model is in evaluation
        mode.
        """
        self.together.same_buffers(self.model)
        self.model.eval()
        count, device = len(images.labels), self.together.device
        own: Sequence[Tensor] = torch.arange(count).split(TEST_BATCH)[
            self.together.rank :: self.together.count
        ]
        loss = torch.zeros((), dtype=torch.float64, device=device)
        predicted = torch.zeros(count, dtype=torch.int64, device=device)
        for chosen, (pixels, labels) in zip(own, images.batches(own), strict=True):
            scores = self.model(pixels.to(device))
            loss += F.cross_entropy(scores, labels.to(device), reduction="sum").double()
            predicted[chosen.to(device)] = scores.argmax(1)
        return (self.together.summed(loss) / count).item(), self.together.summed(predicted).cpu()
