"""Sets of labelled images as batches: in memory, or read from files by worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.errors import DataError
from addercost.train.randomness import derived_seed, generator

PADDING = 4
"""Pixels around an image from which a crop of its own size is taken. Source: Chen et al., CVPR 2020."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Which random crops and flips: those of an epoch of a seeded run."""

    seed: int
    epoch: int


class Images(Protocol):
    """labels: [N] int64."""

    @property
    def labels(self) -> Tensor: ...

    def batches(self, indices: Sequence[Tensor], draw: Draw | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """For each of `indices`, [n] int64, the images [n, C, H, W] float32, normalised, and labels [n].

        draw: of training images with augmentation; without one every image is as it is.
        """
        ...


@dataclass(frozen=True, slots=True)
class Data:
    """A data set ready to train with. classes: their names. title: what it is, for records."""

    title: str
    classes: tuple[str, ...]
    train: Images
    test: Images
    shape: tuple[int, int, int]


class MemoryImages:
    """pixels: [N, C, H, W] uint8; labels: [N] int64; mean, deviation: [C] of pixels within 0 to 1."""

    def __init__(
        self, pixels: Tensor, labels: Tensor, mean: Tensor, deviation: Tensor, augment: bool
    ) -> None:
        self.pixels, self._labels, self.augment = pixels, labels, augment
        self.mean, self.deviation = mean[:, None, None], deviation[:, None, None]

    @property
    def labels(self) -> Tensor:
        return self._labels

    def batches(self, indices: Sequence[Tensor], draw: Draw | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        choose = _crops_and_flips(len(self.pixels), draw) if draw is not None and self.augment else None
        for chosen in indices:
            pixels = self.pixels[chosen]
            if choose is not None:
                pixels = crop_and_flip(pixels, *(choice[chosen] for choice in choose))
            yield (pixels.float() / 255 - self.mean) / self.deviation, self._labels[chosen]


def _crops_and_flips(count: int, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
    """Rows and columns cut off, and whether to flip, of each of `count` images."""
    source = generator("augment", draw.seed, draw.epoch)
    rows, columns = torch.randint(0, 2 * PADDING + 1, (2, count), generator=source)
    return rows, columns, torch.rand(count, generator=source) < 0.5


def crop_and_flip(pixels: Tensor, rows: Tensor, columns: Tensor, flips: Tensor) -> Tensor:
    """Crops of the size of `pixels` [n, C, H, W] from it with a border of PADDING zeros, some mirrored.

    rows, columns: [n], where each crop begins, from 0; flips: [n], which are mirrored left to right.
    """
    height, width = pixels.shape[2:]
    padded = F.pad(pixels, (PADDING,) * 4)
    across = torch.where(flips[:, None], torch.arange(width).flip(0), torch.arange(width))
    y = rows[:, None] + torch.arange(height)
    x = columns[:, None] + across
    image = torch.arange(len(pixels))[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2).contiguous()


def split_in_memory(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], augment: bool
) -> tuple[MemoryImages, MemoryImages]:
    """Both normalised by the mean and the standard deviation that the training images have per channel."""
    pixels = train[0].double() / 255
    mean, deviation = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3), correction=0).clamp_min(1e-6)
    first, second = mean.float(), deviation.float()
    return MemoryImages(*train, first, second, augment), MemoryImages(*test, first, second, False)


class FileImages:
    """dataset: of (image, label) by index, read with the transform for training or for testing."""

    def __init__(
        self,
        labels: Sequence[int],
        read: Callable[[int], Any],
        transform: Callable[[Any], Tensor],
        training_transform: Callable[[Any], Tensor],
        workers: int,
    ) -> None:
        self._labels = torch.tensor(labels, dtype=torch.int64)
        self.read, self.transform, self.training_transform = read, transform, training_transform
        self.workers = workers

    @property
    def labels(self) -> Tensor:
        return self._labels

    def batches(self, indices: Sequence[Tensor], draw: Draw | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        from torch.utils.data import DataLoader

        loader = DataLoader(
            _ImageReader(self, draw),
            batch_sampler=[[int(i) for i in chosen] for chosen in indices],
            num_workers=self.workers,
            # Its own draws would come from, and advance, the run's generator.
            generator=torch.Generator(),
        )
        try:
            yield from loader
        except DataError as error:
            # From a worker it comes back with the worker's traceback before its own text.
            raise DataError(str(error).strip().rpartition("DataError: ")[2]) from None


class _ImageReader(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """One image by index; what is random about it depends on the draw and the index alone."""

    def __init__(self, images: FileImages, draw: Draw | None) -> None:
        self.images, self.draw = images, draw

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, label = self.images.read(index), self.images.labels[index]
        if self.draw is None:
            return self.images.transform(image), label
        # torchvision's transforms draw from the global generator.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed("augment", self.draw.seed, self.draw.epoch, index))
            return self.images.training_transform(image), label
