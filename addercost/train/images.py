"""Sets of labelled images in batches: from memory, or from files that worker processes read."""

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
"""Pixels around an image. A crop of the image's own size is taken from this larger area. Source: Chen et al.,
CVPR 2020.
"""


@dataclass(frozen=True, slots=True)
class Draw:
    """The random crops and flips of one epoch of a run with this seed."""

    seed: int
    epoch: int


class Images(Protocol):
    """Labelled images. labels: [N] int64."""

    @property
    def labels(self) -> Tensor: ...

    def batches(self, indices: Sequence[Tensor], draw: Draw | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """For each of `indices`, [n] int64: the images [n, C, H, W] float32, normalised, and the labels [n].

        draw: crops and flips for training, if the data is augmented. Without it no image is changed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Data:
    """A data set to train with. title: its name in records. classes: their names. shape: of an image, CHW."""

    title: str
    classes: tuple[str, ...]
    train: Images
    test: Images
    shape: tuple[int, int, int]


class MemoryImages:
    """Images in memory. pixels: [N, C, H, W] uint8; labels: [N] int64; mean, deviation: [C], of pixels scaled
    to 0 to 1.
    """

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
    """For each of `count` images, the row and column at which its crop begins, and whether it is mirrored."""
    source = generator("augment", draw.seed, draw.epoch)
    rows, columns = torch.randint(0, 2 * PADDING + 1, (2, count), generator=source)
    return rows, columns, torch.rand(count, generator=source) < 0.5


def crop_and_flip(pixels: Tensor, rows: Tensor, columns: Tensor, flips: Tensor) -> Tensor:
    """Crops of `pixels` [n, C, H, W] with a border of PADDING zeros. Each crop has the size of an image.

    rows, columns: [n], where each crop begins, from 0. flips: [n], whether it is mirrored left to right.
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
    """Training and test images, normalised by the mean and standard deviation of each channel of the training
    images.
    """
    pixels = train[0].double() / 255
    mean, deviation = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3), correction=0).clamp_min(1e-6)
    first, second = mean.float(), deviation.float()
    return MemoryImages(*train, first, second, augment), MemoryImages(*test, first, second, False)


class FileImages:
    """Images that are read from files. read: returns an image by its index. workers: how many
    processes read.
    """

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
            # Without a generator of its own the loader would draw from the run's generator and advance it.
            generator=torch.Generator(),
        )
        try:
            yield from loader
        except DataError as error:
            # The text of an error from a worker begins with the worker's traceback.
            raise DataError(str(error).strip().rpartition("DataError: ")[2]) from None


class _ImageReader(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Reads one image by its index. Its random crop and flip depend only on the draw and the index."""

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
