"""What the AdderNet paper prints, digit for digit, so that ours can stand beside it.

Source: Chen et al., "AdderNet: Do We Really Need Multiplications in Deep Learning?", CVPR 2020
(arXiv 1912.13200), tables 1 to 3 and section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishedCount:
    """#Mul (= #Add) of one network as printed, and the zoo model that should have it.

    convention: the counting rule that comes closest to the paper's. remark: what is known of the difference.
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
"""Cycles on a VIA Nano 2000 at 4 a multiplication and 2 an addition."""
