"""Data sets that fit into memory: digits, MNIST, CIFAR-10 and CIFAR-100."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.errors import AddercostError, ArgumentError, DataError
from addercost.sources.torchvision_models import make_importable
from addercost.text import error_text
from addercost.train.images import Data, split_in_memory

DIGITS_TRAINING = 1197
"""The first 1,197 of 1,797 images. The other 600, the last in the file's order, are the test set; most of
them are by other writers.
"""
DIGITS_TUNING = 1000
"""The training images that are used while settings are chosen. The other 197 training images test the
settings.
"""

_MNIST_FILES = tuple(
    f"{part}-{what}" for part in ("train", "t10k") for what in ("images-idx3-ubyte", "labels-idx1-ubyte")
)
_LARGEST_BYTES = 1 << 30
_DAMAGE = (OSError, EOFError, ValueError, AssertionError, RuntimeError, KeyError, TypeError, zlib.error)
"""Errors that torchvision's readers raise for missing or truncated files."""


def digits(channels: int | None, size: int | None, augment: bool | None, *, tune: bool = False) -> Data:
    """scikit-learn's 1,797 handwritten digits of 8×8 pixels, resized to 32×32 if no size is given.

    The split is fixed, in the file's order. tune: uses only the training images, which are split once more.
    Raises ArgumentError if scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ArgumentError("scikit-learn is not installed", "pip install 'addercost[train]'") from error
    bunch: Any = load_digits()
    pixels = torch.from_numpy(bunch.images).float()[:, None] * (255 / 16)
    labels = torch.from_numpy(bunch.target).long()
    end = DIGITS_TRAINING if tune else len(labels)
    cut = DIGITS_TUNING if tune else DIGITS_TRAINING
    names = tuple(str(name) for name in bunch.target_names)
    train, test = (pixels[:cut], labels[:cut]), (pixels[cut:end], labels[cut:end])
    return _data("digits-tune" if tune else "digits", names, train, test, channels, size or 32, bool(augment))


def mnist(folder: Path, channels: int | None, size: int | None, augment: bool | None) -> Data:
    """MNIST from its four idx files, gzipped or not, in DIR, DIR/raw or DIR/MNIST/raw. 28×28 pixels. Raises
    DataError for missing or damaged files.
    """
    datasets = torchvision_datasets()
    with _mnist_layout(folder) as root, reading("MNIST", folder):
        parts = [datasets.MNIST(root, train=train, download=False) for train in (True, False)]
    names = tuple(str(i) for i in range(10))
    train, test = ((part.data[:, None].float(), part.targets) for part in parts)
    for _, labels in (train, test):
        _check_labels(labels, len(names), folder)
    return _data("MNIST", names, train, test, channels, size, bool(augment))


def cifar(folder: Path, title: str, channels: int | None, size: int | None, augment: bool | None) -> Data:
    """CIFAR-10 or -100 from its python files in DIR/cifar-10-batches-py or DIR/cifar-100-python. 32×32
    pixels.

    The files are pickles, which can run code, so a file is opened only if it has the published checksum. If
    `augment` is None, training images are cropped and flipped.
    """
    datasets = torchvision_datasets()
    reader = {"CIFAR-10": datasets.CIFAR10, "CIFAR-100": datasets.CIFAR100}[title]
    # DIR may also name the inner folder.
    root = folder.parent if folder.name == reader.base_folder else folder
    with reading(title, folder):
        parts = [reader(str(root), train=train, download=False) for train in (True, False)]
    names = tuple(str(name) for name in parts[0].classes)
    train, test = (
        (torch.from_numpy(part.data).permute(0, 3, 1, 2).float(), torch.tensor(part.targets))
        for part in parts
    )
    for _, labels in (train, test):
        _check_labels(labels, len(names), folder)
    return _data(title, names, train, test, channels, size, augment is not False)


def torchvision_datasets() -> Any:
    """torchvision's module of data sets. Raises ArgumentError, which says what to install, if it is
    missing.
    """
    make_importable()
    try:
        from torchvision import datasets
    except ImportError as error:
        raise ArgumentError("torchvision is not installed", "pip install 'addercost[vision]'") from error
    return datasets


@contextmanager
def reading(title: str, folder: Path) -> Iterator[None]:
    """While active, turns what a reader raises for missing or damaged files into a DataError. Refuses
    pipes.
    """
    try:
        for place in (folder, *(each for each in folder.iterdir() if each.is_dir())):
            for file in place.iterdir():
                if file.exists() and not (file.is_file() or file.is_dir()):
                    raise DataError(f"cannot read {file}: it is a pipe, socket or device", "remove it")
        yield
    except AddercostError:
        raise
    except _DAMAGE as error:
        said = error_text(error)[:200] or type(error).__name__
        raise DataError(
            f"cannot read {title} from {folder}: {said}",
            "nothing is downloaded: the folder must hold the files as published, whole",
        ) from error


@contextmanager
def _mnist_layout(folder: Path) -> Iterator[str]:
    """A temporary folder in the layout that torchvision's reader expects, with the files of `folder` unpacked
    or linked.
    """
    for place in (folder, folder / "raw", folder / "MNIST" / "raw"):
        if any((place / name).is_file() or (place / f"{name}.gz").is_file() for name in _MNIST_FILES):
            break
    else:
        raise DataError(
            f"no MNIST in {folder}: {_MNIST_FILES[0]}[.gz] is missing",
            "nothing is downloaded: put the four idx files there",
        )
    with tempfile.TemporaryDirectory() as temporary:
        raw = Path(temporary) / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for name in _MNIST_FILES:
            if (place / name).is_file():
                (raw / name).symlink_to((place / name).resolve())
            elif (place / f"{name}.gz").is_file():
                with reading("MNIST", folder):
                    _unpack(place / f"{name}.gz", raw / name)
            else:
                raise DataError(f"{place / name}[.gz] is missing", "MNIST is four files")
        yield temporary


def _unpack(packed: Path, target: Path) -> None:
    left = _LARGEST_BYTES
    with gzip.open(packed) as source, target.open("wb") as file:
        while block := source.read(1 << 20):
            # A few bytes can unpack to any number of bytes.
            left -= len(block)
            if left < 0:
                raise ValueError(f"{packed.name} unpacks to more than 1 GiB")
            file.write(block)


def _check_labels(labels: Tensor, classes: int, folder: Path) -> None:
    if not len(labels) or int(labels.min()) < 0 or int(labels.max()) >= classes:
        found = f"labels {int(labels.min())} to {int(labels.max())}" if len(labels) else "no image"
        raise DataError(f"{folder} holds {found} for {classes} classes", "the files are damaged")


def _data(
    title: str,
    classes: tuple[str, ...],
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    channels: int | None,
    size: int | None,
    augment: bool,
) -> Data:
    """The data set with training and test pixels [N, C, H, W] from 0 to 255, resized bilinearly to `size`,
    with `channels`.
    """
    parts = [(_fitted(pixels, channels, size), labels) for pixels, labels in (train, test)]
    shape = parts[0][0].shape
    return Data(title, classes, *split_in_memory(parts[0], parts[1], augment), (shape[1], shape[2], shape[3]))


def _fitted(pixels: Tensor, channels: int | None, size: int | None) -> Tensor:
    own = pixels.shape[1]
    if channels == 1 and own == 3:
        # The weights of ITU-R BT.601, which image libraries use.
        pixels = (pixels * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    elif channels not in (None, own):
        if own != 1:
            raise DataError(
                f"the images have {own} channels, the model takes {channels}", "choose other data"
            )
        assert channels is not None
        pixels = pixels.expand(-1, channels, -1, -1)
    if size is not None and tuple(pixels.shape[2:]) != (size, size):
        pixels = F.interpolate(
            pixels, size=(size, size), mode="bilinear", align_corners=False, antialias=True
        )
    return pixels.round().clamp(0, 255).to(torch.uint8).contiguous()
