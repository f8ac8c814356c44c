"""`addercost train` and `addercost.train_model`."""

from __future__ import annotations

import json
import os
import pty
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from small_network import in_folder_of_small_net
from torch import nn

import addercost
from addercost.cli import run
from addercost.errors import ArgumentError


def test_the_result_is_printed(
    small_net: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the epochs the last is named, and those before that a slow machine takes long for: here none is."""
    monkeypatch.setattr("addercost.cli.train_progress._EVERY_S", float("inf"))
    assert run(["train", small_net, "-o", "run", "--epochs", "2", "--batch", "300"]) == 0
    captured = capsys.readouterr()
    rows = json.loads(Path("run/log.json").read_text())
    assert captured.out.startswith(f"{rows[-1]['test_accuracy_percent']:.2f} % of 600 test images")
    assert captured.err.startswith("epoch 2 of 2: loss ")


def test_quiet(small_net: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", small_net, "-o", "run", "--epochs", "1", "--batch", "300", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_a_dry_run_leaves_nothing(small_net: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights: 4·1·9 of the convolution, 2·4 and 2·10 of the norms, 36·10 of the linear layer."""
    assert run(["train", small_net, "--dry-run", "--batch", "500", "--epochs", "3"]) == 0
    out = capsys.readouterr().out
    assert f"{36 + 8 + 20 + 360:,} parameters, 2 layers, 2 of them adder" in out
    assert "1,197 images to train with, 600 to test with, 10 classes, 1x8x8" in out
    assert "3 epochs of 2 with 500 images, 197 images of an epoch left out" in out
    assert [path.name for path in Path().iterdir() if path.name != "__pycache__"] == ["net.py"]


PLAIN_RUN = ["train", "net.py:Net", "--epochs", "2", "--batch", "600", "-q"]


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a run without options, of a network for images of any size."""
    folder = tmp_path_factory.mktemp("plain")
    with in_folder_of_small_net(folder):
        text = Path("net.py").read_text()
        Path("net.py").write_text(text.replace("nn.Flatten()", "nn.AdaptiveAvgPool2d(3), nn.Flatten()"))
        assert run([*PLAIN_RUN, "-o", "run"]) == 0
        yield folder / "run"


@pytest.mark.parametrize(
    ("options", "setting", "value"),
    [
        (["--eta", "0.4"], "eta", 0.4),
        (["--rate", "increased", "--increase", "7"], "increase", 7.0),
        (["--gradient", "sign"], "adder_gradient", "sign"),
        (["--optimizer", "nag"], "optimizer", "nag"),
        (["--schedule", "poly"], "schedule", "poly"),
        (["--lr", "0.05"], "learning_rate", 0.05),
        (["--momentum", "0.5"], "momentum", 0.5),
        (["--weight-decay", "0.01"], "weight_decay", 0.01),
        (["--seed", "4"], "seed", 4),
        (["--augment"], "augment", True),
        (["--image-size", "10"], "image_size", 10),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_every_option_changes_the_result(
    options: list[str], setting: str, value: object, plain_run: Path, tmp_path: Path
) -> None:
    """One that did not reach the training would leave the weights as they are without it."""
    changed_run = tmp_path / "changed"
    assert run([*PLAIN_RUN, "-o", str(changed_run), *options]) == 0
    settings = [
        json.loads((folder / "run.json").read_text())["settings"] for folder in (plain_run, changed_run)
    ]
    assert settings[1][setting] == value != settings[0][setting]
    plain, changed = (
        torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
        for folder in (plain_run, changed_run)
    )
    assert any(not torch.equal(plain[key], changed[key]) for key in plain)


def test_progress_on_a_terminal(
    small_net: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bar on stderr, the result on stdout."""
    mine, its = pty.openpty()
    shown = []

    def read() -> None:
        """A terminal that nobody reads takes only so much."""
        while True:
            try:
                shown.append(os.read(mine, 4096))
            except OSError:  # the other side is closed
                return

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(its, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        code = run(["train", small_net, "-o", "run", "--epochs", "2", "--batch", "300"])
        monkeypatch.undo()
    reader.join()
    os.close(mine)
    assert code == 0 and capsys.readouterr().out.count("test images") == 1
    text = b"".join(shown)
    assert b"epoch 2" in text and b"test accuracy" in text


def test_train_model_trains_the_module_given(small_net: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    before = model[1].weight.detach().clone()
    report = addercost.train_model(model, "digits", "run", epochs=3, batch=100, image_size=8)
    assert report.model is model and not torch.equal(model[1].weight, before)
    assert report.accuracy_percent > 60, "a linear model classifies most digits"
    assert json.loads(Path("run/run.json").read_text())["settings"]["model"] == "Sequential"


def test_train_model_takes_a_spec(small_net: str) -> None:
    report = addercost.train_model(small_net, "digits", Path("run"), epochs=1, batch=400, rate="increased")
    assert [row.epoch for row in report.rows] == [1] and report.tested == 600


def test_an_unknown_setting(small_net: str) -> None:
    with pytest.raises(ArgumentError, match="did you mean epochs"):
        addercost.train_model(small_net, "digits", "run", epoch=1)
    with pytest.raises(ArgumentError, match="did you mean adaptive"):
        addercost.train_model(small_net, "digits", "run", rate="adaptve")
