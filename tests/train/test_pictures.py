"""From a run's folder to its pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_network import in_folder_of_small_net

from addercost.cli import run
from addercost.results.saved import read_saved
from addercost.results.training import TrainingRun
from addercost.train.checkpoint import load_weights, read_checkpoint
from addercost.train.epochs import EpochRow
from addercost.train.prepare import prepare
from addercost.train.rates import layer_weights
from addercost.train.record import record_of
from addercost.train.settings import TrainSettings

TWO_FEATURES = """
import torch
from torch import nn
from addercost.layers import AdderLinear

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 70, 3)
        self.narrow = nn.Linear(70 * 36, 2)
        self.last = AdderLinear(2, 10)

    def embed(self, x):
        return self.narrow(self.conv(x).relu().flatten(1))

    def forward(self, x):
        return self.last(self.embed(x))

example_inputs = torch.zeros(1, 1, 8, 8)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A trained network's, shared by all tests here: none writes into it."""
    with in_folder_of_small_net(tmp_path_factory.mktemp("pictures")):
        Path("two.py").write_text(TWO_FEATURES)
        arguments = ["two.py:Net", "-o", "run", "--epochs", "2", "--batch", "300", "--lr", "0.01", "-q"]
        assert run(["train", *arguments, "--name", "two <b>features</b>"]) == 0
        yield "run"


def test_the_record(folder: str) -> None:
    record = read_saved(Path(folder))
    assert isinstance(record, TrainingRun)
    log = json.loads(Path(folder, "log.json").read_text())
    assert (record.name, record.dataset) == ("two <b>features</b>", "digits")
    assert record.accuracy_percent == log[-1]["test_accuracy_percent"]
    assert list(record.curves["test loss"]) == [row["test_loss"] for row in log]
    assert list(record.gradient_norms["last"]) == [row["gradient_norms"]["last"] for row in log]
    assert list(record.weights) == ["conv", "narrow", "last"]
    assert [len(values) for values in record.weights.values()] == [630, 4000, 20], "at most 4,000 a layer"
    kernels = record.filters["conv"]
    assert (len(kernels), len(kernels[0]), len(kernels[0][0])) == (64, 3, 3), "at most 64 filters"
    assert len(record.features.x) == 600 and set(record.features.label) == set(range(10))


def test_the_accuracy_is_that_of_the_last_epoch(small_net: str) -> None:
    """Not of the best one, which would be chosen by the test images."""
    settings = TrainSettings(small_net, "digits")
    made = prepare(settings)
    rows = tuple(EpochRow(i + 1, 0.1, 1.0, 50.0, 1.0, accuracy) for i, accuracy in enumerate((90.0, 80.0)))
    rows = tuple(replace(row, gradient_norms=dict.fromkeys(layer_weights(made.model), 1.0)) for row in rows)
    record = record_of("run", settings, made.data, rows, made.model)
    assert record.accuracy_percent == 80
    assert record.curves["test accuracy (%)"] == (90, 80)


def test_features_are_the_models_own(folder: str) -> None:
    """The record's against the trained model's, loaded from the checkpoint."""
    record = read_saved(Path(folder))
    assert isinstance(record, TrainingRun)
    made = prepare(TrainSettings("two.py:Net", "digits"))
    path = Path(folder, "checkpoint.pt")
    load_weights(read_checkpoint(path), path, made.model)
    images, labels = next(made.data.test.batches([torch.arange(600)]))
    with torch.no_grad():
        expected = made.model.eval().embed(images)
    assert record.features.x == pytest.approx(expected[:, 0].tolist(), rel=1e-3, abs=1e-4)
    assert list(record.features.label) == labels.tolist()


@pytest.mark.parametrize(
    "kind",
    [
        *("curves", "gradients", "features"),
        *(pytest.param(kind, marks=pytest.mark.exhaustive) for kind in ("filters", "histogram")),
    ],
)
def test_pictures(kind: str, folder: str) -> None:
    """Drawn from the folder, the same bytes each time."""
    pictures = [Path(f"{kind}-{i}.svg") for i in range(2)]
    for path in pictures:
        assert run(["plot", kind, folder, "-o", str(path)]) == 0
    assert pictures[0].read_bytes() == pictures[1].read_bytes() and len(pictures[0].read_bytes()) > 2000


def test_a_folder_that_is_no_run(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert run(["plot", "curves", "empty", "-o", "x.svg"]) == 3
    Path("empty", "training.json").write_text("{")
    assert run(["plot", "curves", "empty", "-o", "x.svg"]) == 6
    assert "Traceback" not in capsys.readouterr().err


def test_reproduce_accuracy_lists_the_run(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reproduce", "accuracy", folder, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    own = [row for row in rows if row["ours_on"] == "digits, your run"]
    assert [row["network"] for row in own] == ["two.py:Net"]
    log = json.loads(Path(folder, "log.json").read_text())
    assert own[0]["ours_percent"] == log[-1]["test_accuracy_percent"]
    assert [row["published_percent"] for row in rows[:5]] == [99.40, 99.40, 98.99, 97.99, 97.72]
