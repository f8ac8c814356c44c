"""LeNet-5 with batch normalisation, the network of the paper's MNIST and latency comparison."""

from __future__ import annotations

from torch import Tensor, nn

from addercost import layers
from addercost.arithmetic import Arithmetic


class LeNet5BN(nn.Module):
    """x: [N, 1, 32, 32] → [N, classes].

    Every layer takes the arithmetic, the fully connected ones too. Adder layers put out sums far from zero
    and do not train without a normalisation after them, so there the linear layers get one as well; the
    paper's counts leave it out. Source: LeCun et al., 1998; Chen et al., CVPR 2020, section 4.1.
    """

    def __init__(self, arithmetic: Arithmetic = Arithmetic.MAC, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            layers.conv2d(arithmetic, 1, 6, 5, bias=True),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.MaxPool2d(2),
            layers.conv2d(arithmetic, 6, 16, 5, bias=True),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        normalized = arithmetic is not Arithmetic.MAC
        self.classifier = nn.Sequential(
            nn.Flatten(),
            *_linear(arithmetic, 400, 120, normalized),
            nn.ReLU(),
            *_linear(arithmetic, 120, 84, normalized),
            nn.ReLU(),
            *_linear(arithmetic, 84, classes, normalized),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def _linear(arithmetic: Arithmetic, inputs: int, outputs: int, normalized: bool) -> list[nn.Module]:
    linear = layers.linear(arithmetic, inputs, outputs, bias=True)
    return [linear, nn.BatchNorm1d(outputs)] if normalized else [linear]
