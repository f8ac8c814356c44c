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


@pytest.mark.parametrize(
    ("name", "dynamo"),
    [
        *(pytest.param(name, False, id=f"{name}-older") for name in MODELS),
        # The newer exporter takes 4 s to import.
        *(pytest.param(name, True, id=f"{name}-newer", marks=pytest.mark.exhaustive) for name in MODELS),
    ],
)
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


def blocks_of(name: str) -> nn.Module:
    """A network of torchvision's with few of its blocks: one of each kind that the whole network has."""
    make_importable()
    from torchvision import models
    from torchvision.models.mobilenetv3 import InvertedResidualConfig as Row
    from torchvision.models.resnet import BasicBlock

    match name:
        case "resnet":
            return models.ResNet(BasicBlock, [1, 1, 1, 1])
        case "mobilenet_v3":
            rows = [
                Row(16, 3, 16, 16, True, "RE", 2, 1, 1),
                Row(16, 3, 72, 24, False, "RE", 2, 1, 1),
                Row(24, 3, 88, 24, False, "RE", 1, 1, 1),
                Row(24, 5, 96, 40, True, "HS", 2, 1, 1),
                Row(40, 5, 96, 40, True, "HS", 1, 1, 1),
            ]
            return models.MobileNetV3(rows, 64)
        case "shufflenet_v2":
            return models.ShuffleNetV2([2, 2, 2], [24, 48, 96, 192, 128])
        case "swin":
            return models.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4])
        case _:
            return models.VisionTransformer(64, 32, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dynamo", [False, True], ids=["older", "newer"])
@pytest.mark.parametrize("name", ["resnet", "mobilenet_v3", "shufflenet_v2", "swin", "vision transformer"])
def test_the_same_sites_of_networks_of_torchvision(name: str, dynamo: bool, tmp_path: Path) -> None:
    path, model, x = tmp_path / "model.onnx", blocks_of(name), torch.zeros(1, 3, 64, 64)
    export(model, x, path, dynamo)
    ours, theirs = count(trace_spec(str(path))), count(trace_model(model, x))
    assert ours.complete and ours.mac_sites == theirs.mac_sites
