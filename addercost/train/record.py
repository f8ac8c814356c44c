"""The record of a trained network. Plots are drawn from it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from addercost.results.training import Features, TrainingRun
from addercost.train.epochs import TEST_BATCH, EpochRow
from addercost.train.images import Data
from addercost.train.rates import layer_weights
from addercost.train.settings import TrainSettings

MOST_FILTERS, MOST_WEIGHTS, MOST_LAYERS, MOST_FEATURES = 64, 4000, 24, 2000
"""The most filters of the first layer, weights of a layer, layers, and features that a record contains. If
there are more, it contains evenly spaced ones."""

CURVES = {
    "train loss": "train_loss",
    "test loss": "test_loss",
    "train accuracy (%)": "train_accuracy_percent",
    "test accuracy (%)": "test_accuracy_percent",
}


def record_of(
    name: str, settings: TrainSettings, data: Data, rows: tuple[EpochRow, ...], model: nn.Module
) -> TrainingRun:
    """The record of the run so far. Its accuracy is that of the last epoch, not of the best one."""
    weights = layer_weights(model)
    return TrainingRun(
        name=name,
        model=settings.model,
        dataset=data.title,
        accuracy_percent=rows[-1].test_accuracy_percent if rows else None,
        curves={title: tuple(getattr(row, key) for row in rows) for title, key in CURVES.items()},
        gradient_norms={layer: tuple(row.gradient_norms[layer] for row in rows) for layer in weights},
        filters=_filters(weights),
        weights={
            layer: tuple(_rounded(_spaced(weight.detach().flatten(), MOST_WEIGHTS)))
            for layer, weight in list(weights.items())[:MOST_LAYERS]
        },
        features=_features(model, data),
    )


def _filters(weights: dict[str, Tensor]) -> dict[str, tuple[tuple[tuple[float, ...], ...], ...]]:
    """[K][R][S]: the first input channel of the filters of the first layer whose filters are larger
    than 1×1.
    """
    for layer, weight in weights.items():
        if weight.dim() == 4 and weight.shape[2] > 1 and weight.shape[3] > 1:
            kernels = _spaced(weight.detach()[:, 0], MOST_FILTERS)
            return {layer: tuple(tuple(tuple(_rounded(row)) for row in kernel) for kernel in kernels)}
    return {}


@torch.no_grad()
def _features(model: nn.Module, data: Data) -> Features:
    """Two features of test images, for a model with a method `embed` that returns two, such as LeNet++."""
    embed = getattr(model, "embed", None)
    if embed is None:
        return Features()
    device = next(model.parameters()).device
    chosen = _spaced(torch.arange(len(data.test.labels)), MOST_FEATURES)
    model.eval()
    made = [embed(images.to(device)).cpu() for images, _ in data.test.batches(chosen.split(TEST_BATCH))]
    values = torch.cat(made)
    if values.dim() != 2 or values.shape[1] != 2:
        return Features()
    labels = data.test.labels[chosen].tolist()
    return Features(tuple(_rounded(values[:, 0])), tuple(_rounded(values[:, 1])), tuple(labels))


def _spaced(values: Tensor, most: int) -> Tensor:
    """At most `most` entries along the first axis, evenly spaced."""
    if len(values) <= most:
        return values
    return values[torch.linspace(0, len(values) - 1, most, dtype=torch.float64).long().to(values.device)]


def _rounded(values: Tensor) -> list[float]:
    """The values rounded to five digits, which is more than a plot shows."""
    return [float(f"{value:.5g}") for value in values.tolist()]
