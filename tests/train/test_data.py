"""Data sets read from tiny files in their real formats, by the code that reads the real ones."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path

import data_files
import pytest
import torch
from sklearn.datasets import load_digits

from addercost.errors import AddercostError, ArgumentError, DataError
from addercost.sources.torchvision_models import make_importable
from addercost.train.data import open_data
from addercost.train.images import Data, Draw, Images, _crops_and_flips, crop_and_flip
from addercost.train.randomness import derived_seed, shuffled
from addercost.train.small_images import torchvision_datasets

make_importable()


def all_of(images: Images, draw: Draw | None = None) -> torch.Tensor:
    return next(images.batches([torch.arange(len(images.labels))], draw))[0]


def publish(monkeypatch: pytest.MonkeyPatch, reader: str, checksums: dict[str, str]) -> None:
    """As if files with these checksums had been published: they are all that torchvision lets be opened."""
    dataset = getattr(torchvision_datasets(), reader)
    for part in ("train_list", "test_list"):
        listed = [[name, checksums[name]] for name, _ in getattr(dataset, part)]
        monkeypatch.setattr(dataset, part, listed)
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": checksums[dataset.meta["filename"]]})


def test_digits() -> None:
    data = open_data("digits")
    assert data.shape == (1, 32, 32) and data.classes == tuple("0123456789")
    assert (len(data.train.labels), len(data.test.labels)) == (1197, 600)
    assert torch.equal(
        torch.cat([data.train.labels, data.test.labels]), torch.from_numpy(load_digits().target)
    )
    train = all_of(data.train)
    assert float(train.mean()) == pytest.approx(0, abs=1e-4) and float(train.std()) == pytest.approx(
        1, abs=1e-3
    )
    # Of the training images' own mean and deviation, never of the test's.
    assert abs(float(all_of(data.test).mean())) > 1e-4


def test_digits_for_tuning_hold_no_test_image() -> None:
    whole, part = open_data("digits", size=8), open_data("digits-tune", size=8)
    assert (len(part.train.labels), len(part.test.labels)) == (1000, 197)
    assert torch.equal(torch.cat([part.train.labels, part.test.labels]), whole.train.labels)


def test_digits_at_their_own_size_are_the_pixels() -> None:
    images = open_data("digits", size=8).train
    pixels = torch.from_numpy(load_digits().images[:1197])
    assert torch.equal(images.pixels[:, 0].long(), (pixels * 255 / 16).round().long())  # type: ignore[attr-defined]


@pytest.mark.parametrize("packed", [True, False], ids=["gz", "unpacked"])
@pytest.mark.parametrize("inside", ["", "raw", "MNIST/raw"], ids=["flat", "raw", "torchvision's"])
def test_mnist(packed: bool, inside: str, tmp_path: Path) -> None:
    data_files.mnist(tmp_path / inside, packed)
    data = open_data(f"mnist:{tmp_path}", channels=1, size=32)
    assert (data.title, data.shape, len(data.classes)) == ("MNIST", (1, 32, 32), 10)
    assert data.train.labels.tolist() == [i % 10 for i in range(40)]
    assert len(data.test.labels) == 20
    # Image i is one grey all over, which resizing keeps; normalised by the mean and deviation of 0 to 39.
    values = torch.arange(40.0)
    expected = (values - values.mean()) / values.std(correction=0)
    assert torch.allclose(all_of(data.train)[:, 0, 5, 7], expected, atol=1e-5)
    assert len(list((tmp_path / inside).iterdir())) == 4, "nothing is left in the user's folder"


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, "CIFAR10", data_files.cifar10(tmp_path))
    data = open_data(f"cifar10:{tmp_path}")
    assert (data.shape, data.classes[3]) == ((3, 32, 32), "thing 3")
    assert (len(data.train.labels), len(data.test.labels)) == (40, 8)
    assert data.train.labels.tolist() == [i % 10 for i in range(8)] * 5
    inner = open_data(f"cifar10:{tmp_path}/cifar-10-batches-py")
    assert torch.equal(all_of(inner.train), all_of(data.train))
    with (tmp_path / "cifar-10-batches-py" / "data_batch_1").open("rb") as file:
        first = pickle.load(file)["data"][0].reshape(3, 32, 32)
    assert torch.equal(data.train.pixels[0], torch.from_numpy(first))  # type: ignore[attr-defined]
    assert all_of(open_data(f"cifar10:{tmp_path}", channels=1).train).shape == (40, 1, 32, 32)


def test_cifar100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, "CIFAR100", data_files.cifar100(tmp_path))
    data = open_data(f"cifar100:{tmp_path}")
    assert len(data.classes) == 100 and data.train.labels.tolist() == list(range(20))


def test_cifar_of_unknown_checksums_is_not_unpickled(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return os.mkdir, (str(tmp_path / "harmed"),)

    data_files.cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(DataError, match="corrupted"):
        open_data(f"cifar10:{tmp_path}")
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("parts", [("train", "val"), ("train", "test")], ids=["val", "test"])
@pytest.mark.parametrize("workers", [0, 1])
def test_image_folder(parts: tuple[str, str], workers: int, tmp_path: Path) -> None:
    data_files.image_folder(tmp_path / "pets", parts)
    data = open_data(f"folder:{tmp_path / 'pets'}", size=16, workers=workers)
    assert (data.title, data.classes, data.shape) == ("pets", ("cat", "dog"), (3, 16, 16))
    assert data.train.labels.tolist() == [0] * 4 + [1] * 4
    batches = list(data.train.batches([torch.tensor([5, 0]), torch.tensor([2])]))
    assert [labels.tolist() for _, labels in batches] == [[1, 0], [0]]
    # Image 5 has the colour (80, 100, 10), and a plain image stays one: normalised by ImageNet's figures.
    red = (80 / 255 - 0.485) / 0.229
    assert torch.allclose(batches[0][0][0, 0], torch.full((16, 16), red), atol=1e-5)


def test_no_image_that_is_a_pipe_is_waited_for(tmp_path: Path) -> None:
    data_files.image_folder(tmp_path)
    pipe = tmp_path / "train" / "cat" / "0.PNG"
    pipe.unlink()
    os.mkfifo(pipe)
    with pytest.raises(DataError, match=r"0\.PNG: it is a pipe, socket or device"):
        all_of(open_data(f"folder:{tmp_path}", size=16).train)


def test_no_file_of_a_data_set_that_is_a_pipe_is_waited_for(tmp_path: Path) -> None:
    data_files.cifar10(tmp_path)
    pipe = tmp_path / "cifar-10-batches-py" / "data_batch_1"
    pipe.unlink()
    os.mkfifo(pipe)
    with pytest.raises(DataError, match=r"data_batch_1: it is a pipe, socket or device; remove it"):
        open_data(f"cifar10:{tmp_path}")


def test_grey_image_folder(tmp_path: Path) -> None:
    data_files.image_folder(tmp_path)
    assert all_of(open_data(f"folder:{tmp_path}", channels=1, size=8).test).shape == (8, 1, 8, 8)


def test_imagenet(tmp_path: Path) -> None:
    data_files.imagenet(tmp_path)
    data = open_data(f"imagenet:{tmp_path}", size=24)
    assert data.classes == tuple(f"animal {i}, another word" for i in range(3))
    assert all_of(data.train).shape == (6, 3, 24, 24) and data.test.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_random_parts_depend_on_epoch_and_image_alone(tmp_path: Path) -> None:
    from PIL import Image

    data_files.image_folder(tmp_path)
    noise = torch.randint(0, 256, (40, 40, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    Image.fromarray(noise.numpy()).save(tmp_path / "train" / "cat" / "0.PNG")
    one, two = (open_data(f"folder:{tmp_path}", size=16, workers=workers).train for workers in (0, 1))

    def first(images: Images, draw: Draw, indices: list[int]) -> torch.Tensor:
        return next(images.batches([torch.tensor(indices)], draw))[0][indices.index(0)]

    a = first(one, Draw(1, 2), [0, 3])
    assert torch.equal(a, first(two, Draw(1, 2), [4, 1, 0]))
    assert not torch.equal(a, first(one, Draw(1, 3), [0, 3]))
    assert not torch.equal(a, first(one, Draw(2, 2), [0, 3]))


def test_crops_and_flips_by_hand() -> None:
    """Each pixel of each crop looked up in the padded image."""
    pixels = torch.arange(2 * 3 * 5 * 6, dtype=torch.uint8).view(2, 3, 5, 6)
    rows, columns, flips = torch.tensor([0, 7]), torch.tensor([8, 3]), torch.tensor([False, True])
    made = crop_and_flip(pixels, rows, columns, flips)
    for n in range(2):
        for c in range(3):
            for y in range(5):
                for x in range(6):
                    from_y = y + int(rows[n]) - 4
                    from_x = (5 - x if flips[n] else x) + int(columns[n]) - 4
                    inside = 0 <= from_y < 5 and 0 <= from_x < 6
                    expected = int(pixels[n, c, from_y, from_x]) if inside else 0
                    assert int(made[n, c, y, x]) == expected, (n, c, y, x)


def test_crops_begin_anywhere_and_half_of_the_images_are_mirrored() -> None:
    """9 rows and columns, each for a ninth of 9,000 images; 4,500 mirrored, with a deviation of 47."""
    rows, columns, flips = _crops_and_flips(9000, Draw(0, 0))
    for begins in (rows, columns):
        counts = begins.bincount().tolist()
        assert len(counts) == 9 and all(850 < count < 1150 for count in counts)
    assert abs(int(flips.sum()) - 4500) < 6 * 47


def test_augmentation_is_per_image_and_for_training_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, "CIFAR10", data_files.cifar10(tmp_path))
    data = open_data(f"cifar10:{tmp_path}")
    plain, drawn = all_of(data.train), all_of(data.train, Draw(0, 1))
    assert not torch.equal(plain, drawn)
    some = next(data.train.batches([torch.tensor([7, 30])], Draw(0, 1)))[0]
    assert torch.equal(some, drawn[[7, 30]])
    for other in (Draw(0, 2), Draw(1, 1)):
        assert not torch.equal(all_of(data.train, other), drawn)
    assert torch.equal(all_of(data.test, Draw(0, 1)), all_of(data.test))
    without = open_data(f"cifar10:{tmp_path}", augment=False)
    assert torch.equal(all_of(without.train, Draw(0, 1)), plain)


def test_orders_are_permutations_that_differ() -> None:
    orders = [shuffled(50, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert all(sorted(order.tolist()) == list(range(50)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 3
    assert torch.equal(orders[0], shuffled(50, 0, 0))
    assert derived_seed("a", 1) != derived_seed("a", 11) and derived_seed(1, 12) != derived_seed(11, 2)


def _mnist_truncated(folder: Path) -> None:
    data_files.mnist(folder)
    file = folder / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-40])


def _mnist_short(folder: Path) -> None:
    data_files.mnist(folder, packed=False)
    file = folder / "t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])


def _mnist_not_gzip(folder: Path) -> None:
    data_files.mnist(folder)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(b"hello")


def _mnist_three_files(folder: Path) -> None:
    data_files.mnist(folder)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()


def _mnist_labels(folder: Path) -> None:
    data_files.mnist(folder, packed=False)
    file = folder / "train-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")


def _cifar_short(folder: Path) -> None:
    data_files.cifar10(folder)


def _folder_without_test(folder: Path) -> None:
    data_files.images(folder / "train" / "cat", 1, 0)


def _folder_other_classes(folder: Path) -> None:
    data_files.image_folder(folder)
    (folder / "val" / "dog").rename(folder / "val" / "wolf")


def _folder_empty_class(folder: Path) -> None:
    data_files.image_folder(folder)
    (folder / "train" / "emu").mkdir()


DAMAGED = {
    "nothing there": ("mnist", lambda folder: None, "train-images-idx3-ubyte"),
    "a file missing": ("mnist", _mnist_three_files, "t10k-labels-idx1-ubyte"),
    "a gzip cut off": ("mnist", _mnist_truncated, "cannot read MNIST"),
    "no gzip": ("mnist", _mnist_not_gzip, "cannot read MNIST"),
    "an idx file cut off": ("mnist", _mnist_short, "cannot read MNIST"),
    "a label out of range": ("mnist", _mnist_labels, "labels 0 to 255"),
    "CIFAR missing": ("cifar10", lambda folder: None, "cannot read CIFAR-10"),
    "CIFAR of other checksums": ("cifar10", _cifar_short, "cannot read CIFAR-10"),
    "CIFAR-100 missing": ("cifar100", lambda folder: None, "cannot read CIFAR-100"),
    "ImageNet missing": ("imagenet", lambda folder: None, "cannot read ImageNet"),
    "a folder without its test part": ("folder", _folder_without_test, "val does not exist"),
    "parts of different classes": ("folder", _folder_other_classes, "dog, wolf"),
    "a class without images": ("folder", _folder_empty_class, "emu"),
}


@pytest.mark.parametrize(("kind", "write", "words"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_data(kind: str, write, words: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path)
    with pytest.raises(DataError, match=words) as caught:
        open_data(f"{kind}:{tmp_path}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named(workers: int, tmp_path: Path) -> None:
    data_files.image_folder(tmp_path)
    file = tmp_path / "train" / "cat" / "2.PNG"
    file.write_bytes(file.read_bytes()[:60])
    data = open_data(f"folder:{tmp_path}", size=8, workers=workers)
    with pytest.raises(DataError, match=r"cannot read the image .*2\.PNG") as caught:
        all_of(data.train)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("cannot read")


def test_a_gzip_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from addercost.train import small_images

    data_files.mnist(tmp_path)
    monkeypatch.setattr(small_images, "_LARGEST_BYTES", 1 << 16)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(1 << 20)))
    with pytest.raises(DataError, match="unpacks to more"):
        open_data(f"mnist:{tmp_path}")


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        pytest.param("mnits:x", ArgumentError, "unknown data 'mnits'", id="unknown"),
        pytest.param("mnist", ArgumentError, "mnist:DIR", id="no folder"),
        pytest.param("digits:here", ArgumentError, "takes no folder", id="digits with a folder"),
        pytest.param("cifar10:nowhere", DataError, "does not exist", id="folder missing"),
    ],
)
def test_bad_specs(spec: str, error: type[AddercostError], words: str) -> None:
    with pytest.raises(error, match=words):
        open_data(spec)


def test_pixels_fit_the_model(tmp_path: Path) -> None:
    data_files.mnist(tmp_path)
    made: Data = open_data(f"mnist:{tmp_path}", channels=3, size=10)
    assert all_of(made.train).shape == (40, 3, 10, 10)
    with pytest.raises(DataError, match="model takes 4"):
        from addercost.train.small_images import _fitted

        _fitted(torch.zeros(1, 3, 8, 8), 4, None)
