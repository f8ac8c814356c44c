"""The models of the paper's tables by name, each written once with the arithmetic passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from addercost.arithmetic import Arithmetic
from addercost.models.lenet import LeNet5BN, LeNetPlusPlus
from addercost.models.resnet import BasicBlock, Bottleneck, CifarResNet, ResNet
from addercost.models.vgg_small import VggSmall


@dataclass(frozen=True, slots=True)
class ZooModel:
    """network: the model in an arithmetic with so many classes. input_shape: what its forward takes, batch of
    one. classes: of the data set the paper trains it on.
    """

    name: str
    network: Callable[[Arithmetic, int], nn.Module]
    input_shape: tuple[int, ...]
    classes: int = 10

    def build(self, arithmetic: Arithmetic, classes: int | None = None) -> nn.Module:
        return self.network(arithmetic, classes or self.classes)


_CIFAR, _IMAGENET = (1, 3, 32, 32), (1, 3, 224, 224)

ZOO: Mapping[str, ZooModel] = {
    model.name: model
    for model in (
        ZooModel("lenet5-bn", LeNet5BN, (1, 1, 32, 32)),
        ZooModel("lenet++", LeNetPlusPlus, (1, 1, 32, 32)),
        ZooModel("vgg-small", VggSmall, _CIFAR),
        ZooModel("resnet20-cifar", lambda a, n: CifarResNet(20, a, n), _CIFAR),
        ZooModel("resnet32-cifar", lambda a, n: CifarResNet(32, a, n), _CIFAR),
        ZooModel("resnet18", lambda a, n: ResNet(BasicBlock, (2, 2, 2, 2), a, n), _IMAGENET, 1000),
        ZooModel(
            "resnet50-v1", lambda a, n: ResNet(Bottleneck, (3, 4, 6, 3), a, n, v1=True), _IMAGENET, 1000
        ),
        ZooModel("resnet50", lambda a, n: ResNet(Bottleneck, (3, 4, 6, 3), a, n), _IMAGENET, 1000),
    )
}
