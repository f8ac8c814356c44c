"""Training on two processes under torchrun against one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from addercost.cli import run
from addercost.errors import ArgumentError
from addercost.train.epochs import Trainer
from addercost.train.prepare import prepare
from addercost.train.processes import Processes
from addercost.train.rates import make_optimizer
from addercost.train.settings import TrainSettings

PLAIN = """
import torch
from torch import nn
from addercost.layers import AdderConv2d, AdderLinear
model = nn.Sequential(AdderConv2d(1, 3, 3, stride=2), nn.Flatten(), nn.Linear(27, 10), AdderLinear(10, 10))
example_inputs = torch.zeros(1, 1, 8, 8)
"""
COMMON = ["--epochs", "2", "--batch", "300", "--lr", "0.01", "-q"]


def torchrun(*arguments: str, count: int = 2) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), "--standalone"]
    command += ["-m", "addercost", "train", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


def weights(folder: str) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(Path(folder) / "checkpoint.pt", weights_only=True)
    return content["model"]


@pytest.mark.exhaustive
def test_two_processes_take_the_same_steps_as_one(small_net: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without batch norm and dropout: the same weights up to rounding, the same log, one line on stdout."""
    Path("plain.py").write_text(PLAIN)
    done = torchrun("plain.py", "-o", "two", *COMMON)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test images") == 1
    assert run(["train", "plain.py", "-o", "one", *COMMON]) == 0
    one, two = weights("one"), weights("two")
    for name in one:
        assert torch.allclose(one[name], two[name], rtol=1e-4, atol=1e-5), name
    logs = [json.loads((Path(name) / "log.json").read_text()) for name in ("one", "two")]
    for a, b in zip(*logs, strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-4)
        assert a["train_accuracy_percent"] == pytest.approx(b["train_accuracy_percent"], abs=0.3)
        assert a["gradient_norms"] == pytest.approx(b["gradient_norms"], rel=1e-3)
    assert json.loads(Path("two/run.json").read_text())["environment"]["processes"] == 2


KILL = """
import os, signal
from addercost.train import run as module
def after(original):
    def limited(path, *rest):
        original(path, *rest)
        os.kill(os.getpid(), signal.SIGKILL)
    return limited
module.save_checkpoint = after(module.save_checkpoint)
from addercost.cli import main
main()
"""


@pytest.mark.exhaustive
def test_two_processes_killed_and_resumed(small_net: str) -> None:
    """With batch norm and dropout, checkpoints within the epoch: the same bits as an unbroken pair."""
    Path("killed.py").write_text(KILL)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    arguments = ["train", small_net, *COMMON, "--checkpoint-every", "2", "--augment"]
    killed = subprocess.run(
        [*command, "killed.py", *arguments, "-o", "broken/run"], capture_output=True, timeout=200
    )
    assert killed.returncode != 0
    content = torch.load(Path("broken/run/checkpoint.pt"), weights_only=True)
    assert (content["epoch"], content["step"]) == (0, 2)
    for folder, more in (("broken/run", ["--resume"]), ("whole/run", [])):
        done = torchrun(*arguments[1:], "-o", folder, *more)
        assert done.returncode == 0, done.stderr
    broken, whole = weights("broken/run"), weights("whole/run")
    assert all(torch.equal(broken[name], whole[name]) for name in whole)
    for name in ("log.csv", "log.json", "predictions.csv"):
        assert (Path("broken/run") / name).read_bytes() == (Path("whole/run") / name).read_bytes()


def test_a_batch_that_does_not_divide(small_net: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainSettings(small_net, "digits", batch=64)
    made = prepare(settings)
    monkeypatch.setattr(Processes, "parallel", lambda self, model: model)
    with pytest.raises(ArgumentError, match="give --batch 63"):
        Trainer(
            made.model,
            make_optimizer(made.model, settings),
            settings,
            made.data,
            Processes(0, 3, torch.device("cpu")),
        )


def test_shares_are_the_batch() -> None:
    batch = torch.arange(12)
    shares = [Processes(rank, 3, torch.device("cpu")).share([batch])[0] for rank in range(3)]
    assert torch.equal(torch.cat(shares), batch) and {len(share) for share in shares} == {4}
