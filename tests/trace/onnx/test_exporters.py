"""Networks written by both of torch's exporters count what the trace of the network itself counts."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from addercost.api import trace_model, trace_spec
from addercost.counts.model import count
from addercost.sources.torchvision_models import make_importable


class Small(nn.Module):
    """A convolution, a batch norm, a depthwise and a transposed convolution, pooling, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.up(torch.sigmoid(self.depthwise(self.stem(x))))).flatten(1))


class Encoder(nn.Module):
    """A transformer's layer and an LSTM over its output."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.lstm = nn.LSTM(16, 12, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(self.layer(x))[0]


MODELS: dict[str, tuple[type[nn.Module], tuple[int, ...]]] = {
    "convolutions": (Small, (2, 3, 16, 16)),
    "encoder": (Encoder, (2, 7, 16)),
}


def export(model: nn.Module, x: Tensor, path: Path, dynamo: bool) -> None:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        arguments: dict[str, Any] = {"dynamo": dynamo}
        torch.onnx.export(model.eval(), (x,), str(path), **arguments)


@pytest.mark.parametrize("dynamo", [False, True], ids=["older", "newer"])
@pytest.mark.parametrize("name", MODELS)
def test_the_same_sites(name: str, dynamo: bool, tmp_path: Path) -> None:
    make, shape = MODELS[name]
    model, path = make(), tmp_path / "model.onnx"
    export(model, torch.zeros(shape), path, dynamo)
    ours, theirs = count(trace_spec(str(path))), count(trace_model(model, torch.zeros(shape)))
    assert ours.complete
    assert ours.mac_sites == theirs.mac_sites
    # A layer's weight names its module, also where another module uses it, as attention does its output's.
    assert {layer.path.removesuffix(".out_proj") for layer in ours.layers if layer.mac_sites} == {
        layer.path for layer in theirs.layers if layer.mac_sites
    }


@pytest.mark.exhaustive
@pytest.mark.parametrize("dynamo", [False, True], ids=["older", "newer"])
@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "swin_t", "vit_b_32"]
)
def test_torchvisions_models(name: str, dynamo: bool, tmp_path: Path) -> None:
    make_importable()
    import torchvision

    path = tmp_path / f"{name}.onnx"
    export(torchvision.models.get_model(name), torch.zeros(1, 3, 224, 224), path, dynamo)
    ours, theirs = count(trace_spec(str(path))), count(trace_spec(f"torchvision:{name}"))
    assert ours.complete and ours.mac_sites == theirs.mac_sites
