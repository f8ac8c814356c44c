"""The layers on which the kernels are timed, and the code that users of such layers run today."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.kernels.problem import Geometry


@dataclass(frozen=True)
class Layer:
    """A convolution of a known network."""

    name: str
    batch: int
    channels: int
    filters: int
    size: int
    filter_size: int
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @property
    def geometry(self) -> Geometry:
        return Geometry((self.stride, self.stride), (self.padding, self.padding), groups=self.groups)

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        return self.batch, self.channels, self.size, self.size

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        return self.filters, self.channels // self.groups, self.filter_size, self.filter_size

    @property
    def output_elements(self) -> int:
        out = (self.size + 2 * self.padding - self.filter_size) // self.stride + 1
        return self.batch * self.filters * out * out

    @property
    def sites(self) -> int:
        return self.output_elements * self.channels // self.groups * self.filter_size**2


RESNET = [
    Layer("resnet18 3x3 64", 1, 64, 64, 56, 3, 1, 1),
    Layer("resnet18 3x3 64-128 /2", 1, 64, 128, 56, 3, 2, 1),
    Layer("resnet18 3x3 128", 1, 128, 128, 28, 3, 1, 1),
    Layer("resnet18 3x3 256", 1, 256, 256, 14, 3, 1, 1),
    Layer("resnet18 3x3 512", 1, 512, 512, 7, 3, 1, 1),
    Layer("resnet18 3x3 512, batch 8", 8, 512, 512, 7, 3, 1, 1),
    Layer("resnet50 1x1 64", 1, 64, 64, 56, 1),
    Layer("resnet50 1x1 64-256", 1, 64, 256, 56, 1),
    Layer("resnet50 1x1 256-64", 1, 256, 64, 56, 1),
    Layer("resnet50 1x1 256-512 /2", 1, 256, 512, 56, 1, 2),
    Layer("resnet50 1x1 1024-256", 1, 1024, 256, 14, 1),
    Layer("resnet50 1x1 2048-512", 1, 2048, 512, 7, 1),
]
SMALL = [
    Layer("resnet20 3x3 16", 16, 16, 16, 32, 3, 1, 1),
    Layer("resnet20 3x3 32", 16, 32, 32, 16, 3, 1, 1),
    Layer("resnet20 3x3 64", 16, 64, 64, 8, 3, 1, 1),
    Layer("lenet5 5x5 1-6", 32, 1, 6, 32, 5),
    Layer("lenet5 5x5 6-16", 32, 6, 16, 14, 5),
]
DEPTHWISE = [
    Layer("mobilenet-v2 depthwise 144", 1, 144, 144, 56, 3, 1, 1, 144),
    Layer("mobilenet-v2 depthwise 144 /2", 1, 144, 144, 56, 3, 2, 1, 144),
    Layer("mobilenet-v2 depthwise 960", 1, 960, 960, 7, 3, 1, 1, 960),
]


def unfold_cdist(x: Tensor, w: Tensor, layer: Layer) -> Tensor:
    """The code that users of adder layers run today: im2col, then the L1 distances of its columns to the
    filters.
    """
    columns = F.unfold(x, layer.filter_size, padding=layer.padding, stride=layer.stride)
    return -torch.cdist(columns.transpose(1, 2), w.flatten(1)[None], p=1).transpose(1, 2)


def broadcast(x: Tensor, w: Tensor, layer: Layer) -> Tensor:
    """The published form in plain torch, which has all differences in memory at once."""
    columns = F.unfold(x, layer.filter_size, padding=layer.padding, stride=layer.stride)
    return -(columns[:, None] - w.flatten(1)[None, :, :, None]).abs().sum(2)
