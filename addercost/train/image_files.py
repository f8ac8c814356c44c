"""Data sets of image files, which are read when needed: ImageNet, or any folder with one folder for each
class.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from addercost.errors import DataError
from addercost.input_files import check_readable
from addercost.train.images import Data, FileImages
from addercost.train.small_images import reading, torchvision_datasets

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's training images, with which torchvision's models were trained."""
_SIZE = 224
_MARGIN = 256 / 224
"""Test images are resized to this many times the wanted size, and their middle is cut out."""


def imagenet(
    folder: Path, channels: int | None, size: int | None, augment: bool | None, workers: int
) -> Data:
    """ILSVRC 2012 in torchvision's layout: DIR/train, DIR/val, DIR/meta.bin. Raises DataError for missing or
    damaged files.
    """
    datasets = torchvision_datasets()
    with reading("ImageNet", folder):
        parts = [datasets.ImageNet(str(folder), split=split) for split in ("train", "val")]
    names = tuple(", ".join(words) for words in parts[0].classes)
    return _data("ImageNet", names, parts, folder, channels, size, augment, workers)


def folder(folder: Path, channels: int | None, size: int | None, augment: bool | None, workers: int) -> Data:
    """DIR/train/CLASS/FILE and DIR/test/CLASS/FILE (or DIR/val), in any format that Pillow reads. Raises
    DataError for missing or damaged files.
    """
    datasets = torchvision_datasets()
    places = [folder / "train", folder / "test" if (folder / "test").is_dir() else folder / "val"]
    for place in places:
        if not place.is_dir():
            raise DataError(f"{place} does not exist", "it must hold one folder a class")
    with reading("images", folder):
        parts = [datasets.ImageFolder(str(place)) for place in places]
    if parts[0].classes != parts[1].classes:
        unlike = sorted(set(parts[0].classes) ^ set(parts[1].classes))
        raise DataError(
            f"{places[0]} and {places[1]} differ in classes: {', '.join(unlike[:5])} is in one of them only",
            "both must have the same folders",
        )
    title = folder.resolve().name
    return _data(title, tuple(parts[0].classes), parts, folder, channels, size, augment, workers)


def _data(
    title: str,
    names: tuple[str, ...],
    parts: list[Any],
    folder: Path,
    channels: int | None,
    size: int | None,
    augment: bool | None,
    workers: int,
) -> Data:
    shape = (channels or 3, size or _SIZE, size or _SIZE)
    if shape[0] not in (1, 3):
        raise DataError(f"images have 3 channels or 1, the model takes {shape[0]}", "choose another model")
    test, train = _transforms(shape[0], shape[1], augment is not False)
    sets = [FileImages(part.targets, _reader(part, folder), test, train, workers) for part in parts]
    return Data(title, names, sets[0], sets[1], shape)


def _reader(part: Any, folder: Path) -> Callable[[int], Any]:
    def read(index: int) -> Any:
        path = part.samples[index][0]
        check_readable(Path(path))
        try:
            return part.loader(path)
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"cannot read the image {path}: {error}", "replace or remove it") from None

    return read


def _transforms(
    channels: int, size: int, augment: bool
) -> tuple[Callable[[Any], Tensor], Callable[[Any], Tensor]]:
    """The transforms for testing and for training. The latter crops at random and mirrors half of the
    images.
    """
    from torchvision.transforms import v2

    ending: list[Any] = [v2.Grayscale()] if channels == 1 else []
    ending += [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    mean, deviation = (_MEAN, _DEVIATION) if channels == 3 else ((0.449,), (0.226,))
    ending.append(v2.Normalize(mean, deviation))
    test = v2.Compose([v2.Resize(round(size * _MARGIN)), v2.CenterCrop(size), *ending])
    if not augment:
        return test, test
    return test, v2.Compose([v2.RandomResizedCrop(size), v2.RandomHorizontalFlip(), *ending])
