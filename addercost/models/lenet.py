"""LeNet-5 with batch norm, from the paper's comparisons on MNIST and of latency, and LeNet++, from its
figures.
"""

from __future__ import annotations

from torch import Tensor, nn

from addercost import layers
from addercost.arithmetic import Arithmetic
from addercost.models.blocks import activation, conv_bn


class LeNet5BN(nn.Module):
    """x: [N, 1, 32, 32] → [N, classes].

    normalized: a batch norm follows each linear layer too; by default in every arithmetic except MAC.

    Every layer has the arithmetic, including the fully connected ones. The outputs of adder layers are sums
    far from zero, and such layers do not train unless a normalisation follows. Therefore the linear layers of
    an adder network have one too. The paper's counts do not include it. Source: LeCun et al., 1998; Chen et
    al., CVPR 2020, section 4.1.
    """

    def __init__(
        self, arithmetic: Arithmetic = Arithmetic.MAC, classes: int = 10, normalized: bool | None = None
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            layers.conv2d(arithmetic, 1, 6, 5, bias=True),
            nn.BatchNorm2d(6),
            activation(arithmetic),
            nn.MaxPool2d(2),
            layers.conv2d(arithmetic, 6, 16, 5, bias=True),
            nn.BatchNorm2d(16),
            activation(arithmetic),
            nn.MaxPool2d(2),
        )
        if normalized is None:
            normalized = arithmetic is not Arithmetic.MAC
        self.classifier = nn.Sequential(
            nn.Flatten(),
            *_linear(arithmetic, 400, 120, normalized),
            activation(arithmetic),
            *_linear(arithmetic, 120, 84, normalized),
            activation(arithmetic),
            *_linear(arithmetic, 84, classes, normalized),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


class LeNetPlusPlus(nn.Module):
    """x: [N, 1, 32, 32] → [N, classes], by way of two features that can be drawn.

    Six layers of 5×5 filters, 32, 32, 64, 64, 128 and 128 wide, with pooling after every second; a linear
    layer to two values, `embed`; and the classifier. Every layer has the arithmetic, and each is followed by
    a batch norm, except the CNN's last two. An adder network chooses the class whose template is nearest to
    the features, so the features gather around centres. In a CNN the classes differ in direction.
    Source: Wen et al., ECCV 2016 (the filter size and pooling); Chen et al., CVPR 2020 (the widths).
    """

    def __init__(self, arithmetic: Arithmetic = Arithmetic.MAC, classes: int = 10) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels = 1
        for width in (32, 64, 128):
            for _ in range(2):
                blocks += [conv_bn(arithmetic, channels, width, 5), activation(arithmetic)]
                channels = width
            blocks.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*blocks)
        normalized = arithmetic is not Arithmetic.MAC
        self.narrow = nn.Sequential(nn.Flatten(), *_linear(arithmetic, 128 * 4 * 4, 2, normalized))
        self.classifier = nn.Sequential(*_linear(arithmetic, 2, classes, normalized))

    def embed(self, x: Tensor) -> Tensor:
        """The two features: [N, 2]."""
        features: Tensor = self.narrow(self.features(x))
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.embed(x))
        return logits


def _linear(arithmetic: Arithmetic, inputs: int, outputs: int, normalized: bool) -> list[nn.Module]:
    linear = layers.linear(arithmetic, inputs, outputs, bias=True)
    return [linear, nn.BatchNorm1d(outputs)] if normalized else [linear]
