"""VGG-small, a network for CIFAR-10 that papers on binary networks use to compare their methods."""

from __future__ import annotations

from torch import Tensor, nn

from addercost.arithmetic import Arithmetic
from addercost.models.blocks import activation, conv_bn


class VggSmall(nn.Module):
    """x: [N, 3, 32, 32] → [N, classes]: 128-128-pool-256-256-pool-512-512-pool and one linear layer.

    The first and the last layer are ordinary layers in every arithmetic, as in Chen et al., CVPR 2020,
    section 4.2.
    """

    def __init__(self, arithmetic: Arithmetic = Arithmetic.MAC, classes: int = 10) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels = 3
        for width in (128, 256, 512):
            for _ in range(2):
                chosen = arithmetic if blocks else Arithmetic.MAC
                blocks += [conv_bn(chosen, channels, width, 3), activation(arithmetic)]
                channels = width
            blocks.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Linear(512 * 4 * 4, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits
