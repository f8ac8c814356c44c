"""Writes tiny data sets in the formats in which the real ones are published. Needs torch and Pillow."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import random
import struct
from pathlib import Path

import torch

WNIDS = ("n01440764", "n02102040", "n03000684")


def mnist(folder: Path, packed: bool = True, train: int = 40, test: int = 20) -> None:
    """Four idx files; image i of a part is of class i % 10 and has the pixel i everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        images = struct.pack(">IIII", 0x803, count, 28, 28) + b"".join(bytes([i] * 784) for i in range(count))
        labels = struct.pack(">II", 0x801, count) + bytes(i % 10 for i in range(count))
        for name, content in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)


def cifar10(folder: Path, each: int = 8) -> dict[str, str]:
    """The python version's pickles; image i of a file has the class i % 10. Returns checksums by file."""
    inner = folder / "cifar-10-batches-py"
    inner.mkdir(parents=True)
    files = {f"data_batch_{k}": k for k in range(1, 6)} | {"test_batch": 6}
    for name, k in files.items():
        _pickle(inner / name, {"data": _pixels(each, k), "labels": [i % 10 for i in range(each)]})
    _pickle(inner / "batches.meta", {"label_names": [f"thing {i}" for i in range(10)]})
    return _checksums(inner)


def cifar100(folder: Path, each: int = 20) -> dict[str, str]:
    inner = folder / "cifar-100-python"
    inner.mkdir(parents=True)
    for k, name in enumerate(("train", "test")):
        _pickle(inner / name, {"data": _pixels(each, k), "fine_labels": [i % 100 for i in range(each)]})
    _pickle(inner / "meta", {"fine_label_names": [f"kind {i}" for i in range(100)]})
    return _checksums(inner)


def image_folder(folder: Path, parts: tuple[str, str] = ("train", "val"), each: int = 4) -> None:
    """PNG files of two sizes in two classes."""
    for part in parts:
        for label, name in enumerate(("cat", "dog")):
            images(folder / part / name, each, label)


def imagenet(folder: Path, each: int = 2) -> None:
    """JPEG files by WordNet number and the meta file that torchvision makes of the development kit."""
    for part in ("train", "val"):
        for label, wnid in enumerate(WNIDS):
            images(folder / part / wnid, each, label, "JPEG")
    words = {wnid: (f"animal {i}", "another word") for i, wnid in enumerate(WNIDS)}
    torch.save((words, [WNIDS[0]]), folder / "meta.bin")


def images(folder: Path, count: int, label: int, kind: str = "PNG") -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    for i in range(count):
        size = (40, 30) if i % 2 else (20, 50)
        Image.new("RGB", size, (80 * label, 100, 10 * i)).save(folder / f"{i}.{kind}", kind)


def _pixels(count: int, seed: int) -> object:
    import numpy as np

    draw = random.Random(seed)
    return np.frombuffer(draw.randbytes(count * 3072), dtype=np.uint8).reshape(count, 3072).copy()


def _pickle(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


def _checksums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
