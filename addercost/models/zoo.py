"""The models of the paper's tables by name, each written once with the arithmetic passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from addercost.arithmetic import Arithmetic
from addercost.models.lenet import LeNet5BN
from addercost.models.resnet import BasicBlock, Bottleneck, CifarResNet, ResNet
from addercost.models.vgg_small import VggSmall


@dataclass(frozen=True, slots=True)
class ZooModel:
    """build: the model in an arithmetic. input_shape: what its forward takes, batch of one."""

    name: str
    build: Callable[[Arithmetic], nn.Module]
    input_shape: tuple[int, ...]


ZOO: Mapping[str, ZooModel] = {
    model.name: model
    for model in (
        ZooModel("lenet5-bn", lambda a: LeNet5BN(a), (1, 1, 32, 32)),
        ZooModel("vgg-small", lambda a: VggSmall(a), (1, 3, 32, 32)),
        ZooModel("resnet20-cifar", lambda a: CifarResNet(20, a), (1, 3, 32, 32)),
        ZooModel("resnet32-cifar", lambda a: CifarResNet(32, a), (1, 3, 32, 32)),
        ZooModel("resnet18", lambda a: ResNet(BasicBlock, (2, 2, 2, 2), a), (1, 3, 224, 224)),
        ZooModel("resnet50-v1", lambda a: ResNet(Bottleneck, (3, 4, 6, 3), a, v1=True), (1, 3, 224, 224)),
        ZooModel("resnet50", lambda a: ResNet(Bottleneck, (3, 4, 6, 3), a), (1, 3, 224, 224)),
    )
}
