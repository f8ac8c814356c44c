"""The figures of the AdderNet paper, with exactly the digits that it prints.

Source: Chen et al., "AdderNet: Do We Really Need Multiplications in Deep Learning?", CVPR 2020
(arXiv 1912.13200), tables 1 to 3 and section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from addercost.arithmetic import Arithmetic


@dataclass(frozen=True, slots=True)
class PublishedCount:
    """#Mul (= #Add) of one network as printed, and the zoo model that should have it.

    convention: the counting rule that comes closest to the paper's. remark: known reasons for a difference.
    """

    network: str
    printed: str
    zoo: str
    convention: str
    remark: str = ""


PUBLISHED_COUNTS = (
    PublishedCount("LeNet-5-BN", "435K", "lenet5-bn", "macs", "the sites alone fall short of it"),
    PublishedCount(
        "LeNet-5-BN",
        "435K",
        "lenet5-bn",
        "thop",
        "adds convolution bias and 2 per batch-norm element; that the authors did so is circumstantial",
    ),
    PublishedCount(
        "VGG-small", "0.65G", "vgg-small", "macs", "no counting rule known to us gives the printed value"
    ),
    PublishedCount(
        "ResNet-20",
        "41.17M",
        "resnet20-cifar",
        "macs",
        "option-B shortcuts; no rule gives both this and ResNet-32's value",
    ),
    PublishedCount("ResNet-32", "69.12M", "resnet32-cifar", "macs", "option-B shortcuts"),
    PublishedCount("ResNet-18", "1.8G", "resnet18", "macs"),
    PublishedCount("ResNet-50", "3.9G", "resnet50-v1", "macs", "stride in the first 1×1"),
    PublishedCount(
        "ResNet-50", "3.9G", "resnet50", "macs", "v1.5, stride in the 3×3, is what is released today"
    ),
)

LATENCY_SITES = 435_000
"""#Mul and #Add of LeNet-5-BN, "~435K", in the latency comparison."""

LATENCY_CYCLES = {"CNN": "2.6M", "AdderNet": "1.7M"}
"""Cycles on a VIA Nano 2000, where a multiplication takes 4 cycles and an addition 2."""


@dataclass(frozen=True, slots=True)
class PublishedAccuracy:
    """Top-1 accuracy of one network as printed, and the zoo model of the same architecture."""

    network: str
    dataset: str
    arithmetic: Arithmetic
    accuracy_percent: float
    zoo: str
    keep_first_last: bool = True

    @property
    def title(self) -> str:
        return {Arithmetic.MAC: "CNN", Arithmetic.ADDER: "AdderNet", Arithmetic.XNOR: "BNN"}[self.arithmetic]


def _accuracies(
    network: str, dataset: str, zoo: str, *accuracies: float, keep_first_last: bool = True
) -> tuple[PublishedAccuracy, ...]:
    order = (Arithmetic.MAC, Arithmetic.ADDER, Arithmetic.XNOR)
    return tuple(
        PublishedAccuracy(network, dataset, arithmetic, accuracy, zoo, keep_first_last)
        for arithmetic, accuracy in zip(order, accuracies, strict=False)
    )


PUBLISHED_ACCURACIES = (
    *_accuracies("LeNet-5-BN", "MNIST", "lenet5-bn", 99.40, 99.40, keep_first_last=False),
    *_accuracies("VGG-small", "CIFAR-10", "vgg-small", 93.80, 93.72, 89.80),
    *_accuracies("ResNet-20", "CIFAR-10", "resnet20-cifar", 92.25, 91.84, 84.87),
    *_accuracies("ResNet-32", "CIFAR-10", "resnet32-cifar", 93.29, 93.01, 86.74),
    *_accuracies("VGG-small", "CIFAR-100", "vgg-small", 72.73, 72.64, 65.41),
    *_accuracies("ResNet-20", "CIFAR-100", "resnet20-cifar", 68.14, 67.60, 54.14),
    *_accuracies("ResNet-32", "CIFAR-100", "resnet32-cifar", 69.74, 69.02, 56.21),
    *_accuracies("ResNet-18", "ImageNet", "resnet18", 69.8, 67.0, 51.2),
    *_accuracies("ResNet-50", "ImageNet", "resnet50-v1", 76.2, 74.9, 55.8),
)
"""CNN, AdderNet and BNN. The first and last layer stay convolutions, except in LeNet-5-BN."""

PUBLISHED_ABLATION = {
    "cnn": 99.40,
    "full-alr": 99.40,
    "full-ilr": 98.99,
    "sign-alr": 97.99,
    "sign-ilr": 97.72,
}
"""LeNet-5-BN on MNIST, in percent: full-precision or sign gradients, adaptive or increased rate."""
