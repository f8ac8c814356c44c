"""Residual networks: ResNet-20 and -32 for CIFAR, ResNet-18 and -50 for ImageNet.

The first convolution and the classifier are ordinary layers in every arithmetic, as in Chen et al., CVPR
2020, section 4.2. Shortcuts that change the shape are 1×1 layers (option B of He et al.) of the network's
arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from addercost.arithmetic import Arithmetic
from addercost.models.blocks import activation, conv_bn


class BasicBlock(nn.Module):
    """Two 3×3 layers in parallel with a shortcut."""

    expansion = 1

    def __init__(self, arithmetic: Arithmetic, in_channels: int, width: int, stride: int, v1: bool) -> None:
        super().__init__()
        self.layer1 = conv_bn(arithmetic, in_channels, width, 3, stride)
        self.layer2 = conv_bn(arithmetic, width, width, 3)
        self.relu = activation(arithmetic)
        self.shortcut = _shortcut(arithmetic, in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.layer2(self.relu(self.layer1(x)))
        result: Tensor = self.relu(out + self.shortcut(x))
        return result


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 layers in parallel with a shortcut. v1 has its stride in the first 1×1 layer (He et
    al.), v1.5 in the 3×3 layer.
    """

    expansion = 4

    def __init__(self, arithmetic: Arithmetic, in_channels: int, width: int, stride: int, v1: bool) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.layer1 = conv_bn(arithmetic, in_channels, width, 1, stride if v1 else 1)
        self.layer2 = conv_bn(arithmetic, width, width, 3, 1 if v1 else stride)
        self.layer3 = conv_bn(arithmetic, width, out_channels, 1)
        self.relu = activation(arithmetic)
        self.shortcut = _shortcut(arithmetic, in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.layer3(self.relu(self.layer2(self.relu(self.layer1(x)))))
        result: Tensor = self.relu(out + self.shortcut(x))
        return result


def _shortcut(arithmetic: Arithmetic, in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return conv_bn(arithmetic, in_channels, out_channels, 1, stride)


def _stages(
    arithmetic: Arithmetic,
    block: type[BasicBlock | Bottleneck],
    in_channels: int,
    width: int,
    depths: Sequence[int],
    v1: bool,
) -> tuple[nn.Sequential, int]:
    """Stages of `depths` blocks. Each stage after the first doubles the width and halves the size."""
    stages: list[nn.Module] = []
    channels = in_channels
    for stage, depth in enumerate(depths):
        blocks: list[nn.Module] = []
        for index in range(depth):
            stride = 2 if stage and not index else 1
            blocks.append(block(arithmetic, channels, width << stage, stride, v1))
            channels = (width << stage) * block.expansion
        stages.append(nn.Sequential(*blocks))
    return nn.Sequential(*stages), channels


class CifarResNet(nn.Module):
    """x: [N, 3, 32, 32] → [N, classes]; depth 6·n + 2: three stages of n blocks, 16, 32 and 64 wide."""

    def __init__(self, depth: int, arithmetic: Arithmetic = Arithmetic.MAC, classes: int = 10) -> None:
        super().__init__()
        self.stem = conv_bn(Arithmetic.MAC, 3, 16, 3)
        self.relu = activation(arithmetic)
        self.stages, channels = _stages(arithmetic, BasicBlock, 16, 16, [(depth - 2) // 6] * 3, v1=False)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.stages(self.relu(self.stem(x)))
        logits: Tensor = self.classifier(self.pool(features).flatten(1))
        return logits


class ResNet(nn.Module):
    """x: [N, 3, 224, 224] → [N, classes]."""

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        depths: Sequence[int],
        arithmetic: Arithmetic = Arithmetic.MAC,
        classes: int = 1000,
        v1: bool = False,
    ) -> None:
        super().__init__()
        self.stem = conv_bn(Arithmetic.MAC, 3, 64, 7, 2)
        self.relu = activation(arithmetic)
        self.shrink = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages, channels = _stages(arithmetic, block, 64, 64, depths, v1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.stages(self.shrink(self.relu(self.stem(x))))
        logits: Tensor = self.classifier(self.pool(features).flatten(1))
        return logits
