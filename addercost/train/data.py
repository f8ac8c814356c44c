"""A data SPEC → images: scikit-learn's digits, MNIST, CIFAR, ImageNet, or a folder of image files.

Nothing is downloaded: DIR must contain the files as they are published.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from addercost.errors import ArgumentError, DataError, unknown_name
from addercost.train.images import Data

DATA_FORMS = "digits, mnist:DIR, cifar10:DIR, cifar100:DIR, imagenet:DIR or folder:DIR"
WITHOUT_FOLDER = ("digits", "digits-tune")

Open = Callable[[Path, int | None, int | None, bool | None, int], Data]
"""Opens the data in a folder, given the channels, the image size, whether to augment, and the number of
reading processes.
"""


def _openers() -> dict[str, Open]:
    from addercost.train import image_files, small_images

    return {
        "digits": lambda _, *rest: small_images.digits(*rest[:3]),
        "digits-tune": lambda _, *rest: small_images.digits(*rest[:3], tune=True),
        "mnist": lambda folder, *rest: small_images.mnist(folder, *rest[:3]),
        "cifar10": lambda folder, *rest: small_images.cifar(folder, "CIFAR-10", *rest[:3]),
        "cifar100": lambda folder, *rest: small_images.cifar(folder, "CIFAR-100", *rest[:3]),
        "imagenet": image_files.imagenet,
        "folder": image_files.folder,
    }


def open_data(
    spec: str,
    channels: int | None = None,
    size: int | None = None,
    augment: bool | None = None,
    workers: int = 0,
) -> Data:
    """The data that `spec` names, in `channels` × size × size; None takes the data's own channels or size.

    augment: random crops and flips in training; None does what is usual for the data set. workers: processes
    that read image files. Raises ArgumentError for an unknown SPEC, and DataError for missing or damaged
    files.
    """
    kind, colon, rest = spec.partition(":")
    openers = _openers()
    if kind not in openers:
        error = unknown_name("data", kind, openers)
        raise ArgumentError(error.message, f"data is one of {DATA_FORMS}")
    if kind in WITHOUT_FOLDER:
        if colon:
            raise ArgumentError(f"{kind} takes no folder", f"write --data {kind}")
        return openers[kind](Path(), channels, size, augment, workers)
    if not rest:
        raise ArgumentError(f"{kind} needs a folder", f"write --data {kind}:DIR")
    folder = Path(rest)
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(f"the data folder {folder} {problem}", "nothing is downloaded: put the files there")
    return openers[kind](folder, channels, size, augment, workers)
