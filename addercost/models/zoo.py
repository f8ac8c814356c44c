"""The models of the paper's tables by name. Each is written once and takes its arithmetic as an argument.

Names and input shapes need no torch: a model's own file is imported only when the model is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from addercost.arithmetic import Arithmetic

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class ZooModel:
    """One model. network: makes it, from an arithmetic and a number of classes. input_shape: of its input,
    with a batch of one. classes: of the data set on which the paper trains it.
    """

    name: str
    network: Callable[[Arithmetic, int], nn.Module]
    input_shape: tuple[int, ...]
    classes: int = 10

    def build(self, arithmetic: Arithmetic, classes: int | None = None) -> nn.Module:
        return self.network(arithmetic, classes or self.classes)


def _lenet5_bn(arithmetic: Arithmetic, classes: int) -> nn.Module:
    from addercost.models.lenet import LeNet5BN

    return LeNet5BN(arithmetic, classes)


def _lenet_plus_plus(arithmetic: Arithmetic, classes: int) -> nn.Module:
    from addercost.models.lenet import LeNetPlusPlus

    return LeNetPlusPlus(arithmetic, classes)


def _vgg_small(arithmetic: Arithmetic, classes: int) -> nn.Module:
    from addercost.models.vgg_small import VggSmall

    return VggSmall(arithmetic, classes)


def _cifar_resnet(depth: int) -> Callable[[Arithmetic, int], nn.Module]:
    def make(arithmetic: Arithmetic, classes: int) -> nn.Module:
        from addercost.models.resnet import CifarResNet

        return CifarResNet(depth, arithmetic, classes)

    return make


def _resnet18(arithmetic: Arithmetic, classes: int) -> nn.Module:
    from addercost.models.resnet import BasicBlock, ResNet

    return ResNet(BasicBlock, (2, 2, 2, 2), arithmetic, classes)


def _resnet50(v1: bool) -> Callable[[Arithmetic, int], nn.Module]:
    def make(arithmetic: Arithmetic, classes: int) -> nn.Module:
        from addercost.models.resnet import Bottleneck, ResNet

        return ResNet(Bottleneck, (3, 4, 6, 3), arithmetic, classes, v1=v1)

    return make


_MNIST, _CIFAR, _IMAGENET = (1, 1, 32, 32), (1, 3, 32, 32), (1, 3, 224, 224)

ZOO: Mapping[str, ZooModel] = {
    model.name: model
    for model in (
        ZooModel("lenet5-bn", _lenet5_bn, _MNIST),
        ZooModel("lenet++", _lenet_plus_plus, _MNIST),
        ZooModel("vgg-small", _vgg_small, _CIFAR),
        ZooModel("resnet20-cifar", _cifar_resnet(20), _CIFAR),
        ZooModel("resnet32-cifar", _cifar_resnet(32), _CIFAR),
        ZooModel("resnet18", _resnet18, _IMAGENET, 1000),
        ZooModel("resnet50-v1", _resnet50(v1=True), _IMAGENET, 1000),
        ZooModel("resnet50", _resnet50(v1=False), _IMAGENET, 1000),
    )
}
