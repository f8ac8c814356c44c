"""A run killed and resumed ends in the same bits as one that was not."""

from __future__ import annotations

import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from addercost.errors import ArgumentError, DataError
from addercost.train import run
from addercost.train.checkpoint import read_checkpoint
from addercost.train.epochs import Trainer
from addercost.train.run import TrainingReport, Watch, train
from addercost.train.settings import Optimizer, TrainSettings

FILES = ("log.csv", "log.json", "training.json", "predictions.csv")
SETTINGS: dict[str, Any] = {"epochs": 3, "batch": 200, "augment": True, "seed": 5, "image_size": 8}


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def train_until_killed(when: str, checkpoint_every: int, settings: TrainSettings) -> None:
    """Trains into `killed/run` and dies at that moment of the second epoch."""
    watch = Watch()
    if when == "step":

        def step(epoch: int, done: int, of: int) -> None:
            if (epoch, done) == (1, 4):
                die()

        watch = Watch(step=step)
    elif when == "rename":
        replace, renamed = os.replace, list[Any]()

        def limited(source: Any, target: Any) -> None:
            renamed.append(target)
            die() if Path(target).name == "checkpoint.pt" and len(renamed) > 3 else replace(source, target)

        os.replace = limited  # type: ignore[assignment]
    else:
        write_log, written = run.write_log, list[int]()

        def counted(*arguments: Any) -> None:
            written.append(1)
            die() if len(written) == 2 else write_log(*arguments)

        run.write_log = counted
    train(settings, Path("killed/run"), checkpoint_every=checkpoint_every, watch=watch)


def state(folder: Path) -> dict[str, Any]:
    content = read_checkpoint(folder / "checkpoint.pt")
    return {
        "weights": content["model"],
        "momentum": {k: v["momentum_buffer"] for k, v in content["optimizer"]["state"].items()},
        "rows": content["rows"],
        "position": (content["epoch"], content["step"]),
    }


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other) and one.dtype == other.dtype
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    return bool(one == other)


def unbroken(folder: str = "whole/run", **changes: Any) -> TrainingReport:
    """Its folder has the same name as the other's, which records keep."""
    return train(TrainSettings("net.py:Net", "digits", **{**SETTINGS, **changes}), Path(folder))


@pytest.mark.parametrize(
    ("when", "checkpoint_every", "position"),
    [
        pytest.param("step", 0, (1, 0), id="in a step", marks=pytest.mark.exhaustive),
        pytest.param("step", 3, (1, 3), id="in a step, with checkpoints within the epoch"),
        pytest.param("rename", 0, (1, 0), id="while a checkpoint is written", marks=pytest.mark.exhaustive),
        pytest.param("log", 0, (2, 0), id="between checkpoint and log", marks=pytest.mark.exhaustive),
    ],
)
def test_killed_and_resumed(
    when: str, checkpoint_every: int, position: tuple[int, int], small_net: str
) -> None:
    """By SIGKILL, in the second epoch. The killed process is a fork, which has imported torch already.
    `small_net` computes on one thread, so the fork needs none that it lacks."""
    wanted = TrainSettings("net.py:Net", "digits", **SETTINGS, optimizer=Optimizer.NAG)
    Path("killed").mkdir()
    child = os.fork()
    if not child:
        try:
            train_until_killed(when, checkpoint_every, wanted)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    killed = Path("killed/run")
    assert state(killed)["position"] == position
    resumed = train(wanted, killed, resume=True)
    whole = unbroken(optimizer=Optimizer.NAG)
    assert not resumed.remarks
    assert same(state(whole.folder), state(killed))
    for name in FILES:
        assert (whole.folder / name).read_bytes() == (killed / name).read_bytes()
    assert not [path for path in killed.iterdir() if path.suffix == ".tmp"] or when == "rename"


def test_same_seed_same_bits_and_another_seed_others(small_net: str) -> None:
    torch.rand(3)
    one = unbroken("one/run")
    torch.manual_seed(99)
    before = torch.get_rng_state()
    two = unbroken("two/run")
    assert torch.equal(torch.get_rng_state(), before), "the caller's generator is left alone"
    assert same(state(one.folder), state(two.folder))
    assert (one.folder / "training.json").read_bytes() == (two.folder / "training.json").read_bytes()
    assert not same(state(unbroken("three/run", seed=6).folder)["weights"], state(one.folder)["weights"])


def test_a_finished_run_resumes_to_itself(small_net: str) -> None:
    first = unbroken(epochs=1)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    (first.folder / "predictions.csv").unlink()
    again = train(
        TrainSettings("net.py:Net", "digits", **{**SETTINGS, "epochs": 1}), first.folder, resume=True
    )
    assert again.began_at_epoch == 1 and again.correct == first.correct
    assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before


def test_resume_begins_where_there_is_nothing(small_net: str) -> None:
    settings = TrainSettings("net.py:Net", "digits", **{**SETTINGS, "epochs": 1})
    assert len(train(settings, Path("new/folder"), resume=True).rows) == 1


def test_interrupted_and_resumed(small_net: str) -> None:
    """Ctrl-C, as the step's callback, and the same process once more."""

    def interrupt(epoch: int, done: int, steps: int) -> None:
        if (epoch, done) == (2, 2):
            raise KeyboardInterrupt

    settings = TrainSettings("net.py:Net", "digits", **SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        train(settings, Path("killed/run"), watch=Watch(step=interrupt))
    train(settings, Path("killed/run"), resume=True)
    assert same(state(unbroken().folder), state(Path("killed/run")))


@pytest.mark.parametrize("loss", [math.inf, math.nan])
def test_a_test_loss_that_is_no_number_can_be_resumed(
    loss: float, small_net: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the training loss stops a run; the log has null for the other."""
    test = Trainer.test
    monkeypatch.setattr(Trainer, "test", lambda self, images: (loss, test(self, images)[1]))
    folder = unbroken(epochs=1).folder
    settings = TrainSettings("net.py:Net", "digits", **{**SETTINGS, "epochs": 1})
    assert train(settings, folder, resume=True).began_at_epoch == 1
    assert json.loads((folder / "log.json").read_text())[0]["test_loss"] is None


def test_what_a_run_leaves(small_net: str) -> None:
    report = unbroken()
    rows = json.loads((report.folder / "log.json").read_text())
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    lines = (report.folder / "log.csv").read_text().splitlines()
    assert len(lines) == 4 and lines[0].startswith("epoch,learning_rate,train_loss,")
    assert "gradient_norm of 5" in lines[0]
    predictions = (report.folder / "predictions.csv").read_text().splitlines()[1:]
    right = sum(line.split(",")[1] == line.split(",")[2] for line in predictions)
    assert (right, len(predictions)) == (report.correct, 600)
    assert rows[-1]["test_accuracy_percent"] == report.accuracy_percent == pytest.approx(right / 6)
    share = right / 600
    assert report.standard_error_percent == pytest.approx(100 * (share * (1 - share) / 600) ** 0.5)
    assert not [path for path in report.folder.iterdir() if path.name.startswith(".")]


def test_code_in_a_checkpoint_is_not_run(small_net: str) -> None:
    class Payload:
        def __reduce__(self) -> Any:
            return os.mkdir, ("harmed",)

    report = unbroken(epochs=1)
    torch.save({"schema": "addercost/checkpoint/1", "model": Payload()}, report.folder / "checkpoint.pt")
    with pytest.raises(DataError, match="damaged or no checkpoint"):
        train(TrainSettings("net.py:Net", "digits", **{**SETTINGS, "epochs": 1}), report.folder, resume=True)
    assert not Path("harmed").exists()


def test_a_run_is_not_begun_over_another(small_net: str) -> None:
    folder = unbroken(epochs=1).folder
    with pytest.raises(ArgumentError, match="--resume"):
        unbroken(epochs=1)
    with pytest.raises(ArgumentError, match=r"it has eta 0\.2, not 0\.3"):
        train(
            TrainSettings("net.py:Net", "digits", **{**SETTINGS, "epochs": 1}, eta=0.3), folder, resume=True
        )
