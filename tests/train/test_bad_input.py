"""`addercost train` on bad input: one clear line, the documented exit code, nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import data_files
import pytest
import torch

from addercost.cli import run
from addercost.sources.torchvision_models import make_importable

make_importable()
HEAD = "import torch\nfrom torch import nn\nfrom addercost.layers import AdderConv2d, AdderLinear\n"
TAIL = "\nexample_inputs = torch.zeros(1, 1, 8, 8)\n"
MODELS = {
    "twelve": "model = nn.Sequential(nn.Flatten(), nn.Linear(64, 12))",
    "images": "model = nn.Conv2d(1, 10, 3)",
    "colour": "model = nn.Sequential(nn.Conv2d(5, 1, 1), nn.Flatten(), nn.Linear(64, 10))",
    "nothing": "model = nn.Sequential(nn.Flatten(), nn.Flatten())",
    "other": "model = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))",
    # The middle layer's output is multiplied by zero, so that no gradient comes back to it.
    "dead": (
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.flat, self.first, self.last = nn.Flatten(), AdderLinear(64, 64), nn.Linear(64, 10)\n"
        "    def forward(self, x):\n"
        "        x = self.flat(x)\n"
        "        return self.last(x + 0 * self.first(x))\n"
        "model = Net()"
    ),
    # Finite until the weights of `log` have learnt to leave the domain of a logarithm.
    "nan": (
        "class Log(nn.Linear):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x) + torch.log(2e-3 - (self.weight - self.first).abs().max())\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(64, 16), Log(16, 10))\n"
        "        self[2].first = self[2].weight.detach().clone()\n"
        "model = Net()"
    ),
}  # fmt: skip
CASES = {
    # id: (arguments, exit code, words on stderr)
    "no folder": (["zoo:lenet5-bn"], 2, "-o DIR"),
    "eta of zero": (["zoo:lenet5-bn:adder", "-o", "run", "--eta", "0"], 2, "eta is 0; it must be"),
    "eta below zero": (["zoo:lenet5-bn:adder", "-o", "run", "--eta", "-0.2"], 2, "eta is -0.2"),
    "eta is no number": (["zoo:lenet5-bn:adder", "-o", "run", "--eta", "nan"], 2, "not a finite number"),
    "lr of zero": (["zoo:lenet5-bn", "-o", "run", "--lr", "0"], 2, "lr is 0"),
    "no epochs": (["zoo:lenet5-bn", "-o", "run", "--epochs", "0"], 2, "epochs is 0"),
    "momentum of one": (["zoo:lenet5-bn", "-o", "run", "--momentum", "1"], 2, "below 1"),
    "nag without momentum": (
        ["zoo:lenet5-bn", "-o", "run", "--momentum", "0", "--optimizer", "nag"], 2, "needs a momentum"
    ),
    "unknown optimizer": (["zoo:lenet5-bn", "-o", "run", "--optimizer", "adam"], 2, "known: nag, sgd"),
    "unknown schedule": (["zoo:lenet5-bn", "-o", "run", "--schedule", "cosin"], 2, "did you mean cosine"),
    "unknown rate": (["zoo:lenet5-bn", "-o", "run", "--rate", "adaptiv"], 2, "did you mean adaptive"),
    "unknown gradient": (["zoo:lenet5-bn", "-o", "run", "--gradient", "sing"], 2, "did you mean sign"),
    "unknown model": (["zoo:lenet5", "-o", "run"], 2, "lenet5-bn"),
    "a trace": (["trace.json", "-o", "run"], 3, "cannot be trained"),
    "unknown data": (["zoo:lenet5-bn", "-o", "run", "--data", "digit"], 2, "data is one of digits"),
    "data folder missing": (["zoo:lenet5-bn", "-o", "run", "--data", "mnist:none"], 6, "does not exist"),
    "data folder cut off": (["zoo:lenet5-bn", "-o", "run", "--data", "mnist:cut"], 6, "cannot read MNIST"),
    "no GPU": (["zoo:lenet5-bn", "-o", "run", "--device", "cuda"], 2, "no GPU here"),
    "no device": (["zoo:lenet5-bn", "-o", "run", "--device", "gpu"], 2, "cpu, cuda or cuda:N"),
    "another device": (["zoo:lenet5-bn", "-o", "run", "--device", "meta"], 2, "cannot train on"),
    "batch too large": (["zoo:lenet5-bn", "-o", "run", "--batch", "5000"], 2, "1197 training images"),
    "class count": (["twelve.py", "-o", "run"], 3, "has 12 output classes, digits has 10"),
    "no scores": (["images.py", "-o", "run"], 3, "one row of scores"),
    "image shape": (["colour.py", "-o", "run"], 4, "2x1x8x8"),
    "image size": (["zoo:lenet5-bn", "-o", "run", "--image-size", "8"], 4, "--image-size"),
    "nothing to learn": (["nothing.py", "-o", "run"], 3, "no parameter that learns"),
    "output is a file": (["other.py", "-o", "other.py"], 5, "other.py"),
    "output cannot be made": (["other.py", "-o", "/proc/run"], 5, "/proc/run"),
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADDERCOST_KERNEL", "reference")
    for name, text in MODELS.items():
        (tmp_path / f"{name}.py").write_text(HEAD + text + TAIL)
    return tmp_path


def one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = run(["train", "-q", *arguments])
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1 and "Traceback" not in error, error
    return code, error


@pytest.mark.parametrize(("arguments", "code", "words"), CASES.values(), ids=CASES)
def test_one_line_and_a_code(
    arguments: list[str],
    code: int,
    words: str,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    data_files.mnist(here / "cut")
    file = here / "cut" / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:100])
    found, error = one_line(arguments, capsys)
    assert (found, words.lower() in error.lower()) == (code, True), error
    assert not (here / "run").exists()


def train(model: str, capsys: pytest.CaptureFixture[str], *more: str) -> None:
    assert run(["train", "-q", model, "-o", "run", "--epochs", "1", "--batch", "300", *more]) == 0
    capsys.readouterr()


def test_nan_loss_names_the_layer_and_keeps_the_checkpoint(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["nan.py", "-o", "run", "--lr", "2e-4", "--schedule", "constant", "--epochs", "99"]
    code, error = one_line([*arguments, "--batch", "300"], capsys)
    assert code == 8 and "the output of layer 2 is the first that is not finite" in error
    rows = json.loads((here / "run" / "log.json").read_text())
    epoch = int(error.partition("in epoch ")[2].partition(",")[0])
    assert len(rows) == epoch - 1 >= 1, "it stops after some good epochs"
    content = torch.load(here / "run" / "checkpoint.pt", weights_only=True)
    assert content["epoch"] == epoch - 1 and f"checkpoint of epoch {epoch - 1} is kept" in error
    assert all(torch.isfinite(value).all() for value in content["model"].values())


def test_infinite_gradient_names_the_layer(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """√|x| has an infinite slope at 0, where the corner pixels of every digit are."""
    text = HEAD + (
        "class Root(nn.Module):\n"
        "    def forward(self, x):\n        return (x * 0).abs().sqrt() + x\n"
        "model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), Root(), nn.Linear(8, 10))" + TAIL
    )
    (here / "root.py").write_text(text)
    code, error = one_line(["root.py", "-o", "run"], capsys)
    assert code == 8 and "a gradient is not finite, the gradient of layer 1 is the first" in error


def test_a_layer_that_never_gets_a_gradient(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is named once, and its weights stay numbers: the norm of zeros is no divisor."""
    assert run(["train", "dead.py", "-o", "run", "--batch", "300", "--epochs", "3"]) == 0
    assert capsys.readouterr().err.count("of layer first was zero in every step of epoch 1") == 1
    content = torch.load(here / "run" / "checkpoint.pt", weights_only=True)
    assert torch.isfinite(content["model"]["first.weight"]).all()
    rows = json.loads((here / "run" / "log.json").read_text())
    assert [row["zero_gradients"] for row in rows] == [{"first": 3}] * 3


def test_a_network_that_never_gets_a_gradient(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (here / "dead.py").read_text()
    (here / "dead.py").write_text(text.replace("self.last(x +", "0 * self.last(x +"))
    code, error = one_line(["dead.py", "-o", "run", "--batch", "300"], capsys)
    assert code == 8 and "the gradient of every layer was zero in every step of epoch 1" in error


def test_checkpoint_of_another_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train("other.py", capsys)
    (here / "other.py").write_text((here / "other.py").read_text().replace("20", "30"))
    code, error = one_line(["other.py", "-o", "run", "--epochs", "1", "--batch", "300", "--resume"], capsys)
    assert code == 6 and "of another model: 1.weight has shape [20, 64] there and [30, 64] here" in error


def test_checkpoint_of_another_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train("other.py", capsys)
    common = ["other.py", "--epochs", "1", "--batch", "300"]
    assert run(["train", "-q", *common, "-o", "second", "--seed", "1"]) == 0
    capsys.readouterr()
    (here / "run" / "checkpoint.pt").write_bytes((here / "second" / "checkpoint.pt").read_bytes())
    code, error = one_line([*common, "-o", "run", "--resume"], capsys)
    assert code == 6 and "of another run: it has seed 1, not 0" in error


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": {"state": {}, "param_groups": []}},
        {"rows": [{"epoch": "one"}]},
        {"rows": 3},
        {"sums": [torch.zeros(3)]},
        {"sums": [torch.zeros(3), torch.zeros(9), torch.zeros(9)]},
        {"epoch": None},
        {"model": 3},
        {"settings": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_checkpoint_with_something_else_in_it(
    change: dict[str, Any], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("other.py", capsys)
    file = here / "run" / "checkpoint.pt"
    torch.save(torch.load(file, weights_only=True) | change, file)
    code, error = one_line(["other.py", "-o", "run", "--epochs", "1", "--batch", "300", "--resume"], capsys)
    assert code == 6 and "checkpoint.pt" in error


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--seed", "3", "it has seed 0, not 3"), ("--epochs", "2", "it has epochs 1, not 2")],
)
def test_folder_of_another_run(
    option: str, value: str, words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("other.py", capsys)
    code, error = one_line(
        ["other.py", "-o", "run", "--epochs", "1", "--batch", "300", "--resume", option, value], capsys
    )
    assert code == 2 and words in error
    code, error = one_line(["other.py", "-o", "run"], capsys)
    assert code == 2 and "--resume" in error


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("checkpoint.pt", b"not a checkpoint", "damaged or no checkpoint"),
        ("checkpoint.pt", b"", "damaged or no checkpoint"),
        ("run.json", b"{", "run.json is not JSON"),
        ("run.json", b"[]", "run.json is not a run of addercost"),
        ("run.json", b'{"schema": "addercost/run/1", "settings": {}}', "other settings"),
    ],
)
def test_damaged_files(
    name: str, content: bytes, words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("other.py", capsys)
    (here / "run" / name).write_bytes(content)
    code, error = one_line(["other.py", "-o", "run", "--epochs", "1", "--batch", "300", "--resume"], capsys)
    assert code == 6 and words in error


def test_a_checkpoint_cut_off_anywhere(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train("other.py", capsys)
    file = here / "run" / "checkpoint.pt"
    whole = file.read_bytes()
    for length in range(0, len(whole), len(whole) // 12):
        file.write_bytes(whole[:length])
        code, _ = one_line(["other.py", "-o", "run", "--epochs", "1", "--batch", "300", "--resume"], capsys)
        assert code == 6
