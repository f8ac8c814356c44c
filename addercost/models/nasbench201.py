"""The networks of NAS-Bench-201, from their published description: Dong and Yang, ICLR 2020, section 2.1.

The cells are in `nasbench201_cells`. A network takes 32×32 images. It has a 3×3 stem of 16 channels; three
stages of five equal cells with 16, 32 and 64 channels; between stages a residual block that halves the size;
and global average pooling before the classifier.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from addercost.models.nasbench201_cells import EDGES

CELLS_PER_STAGE = 5
WIDTHS = (16, 32, 64)

_INTO = tuple(
    tuple((start, f"edge{start}{end}") for start, end in EDGES if end == node) for node in (1, 2, 3)
)
"""For each node except the first: (from, name) of the edges that lead to it."""


def _relu_conv_bn(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    padding = kernel_size // 2
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False),
        nn.BatchNorm2d(out_channels),
    )


def _edge(operation: str, channels: int, edge: int) -> nn.Module:
    match operation:
        case "skip_connect":
            return nn.Identity()
        case "nor_conv_1x1":
            return _relu_conv_bn(channels, channels, 1)
        case "nor_conv_3x3":
            return _relu_conv_bn(channels, channels, 3)
        case "avg_pool_3x3":
            return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    raise ValueError(f"unknown operation {operation!r}")


_stand_in_edge = functools.cache(_edge)
"""Edges that many networks share. `edge` is an edge's number and keeps the edges of one cell apart. The
shared weights represent each network's own, which is enough where only shapes matter."""


class NasBench201Cell(nn.Module):
    """x: [N, C, H, W] → [N, C, H, W]."""

    def __init__(
        self, operations: Sequence[str], channels: int, edge: Callable[..., nn.Module] = _edge
    ) -> None:
        super().__init__()
        for number, (operation, (start, end)) in enumerate(zip(operations, EDGES, strict=True)):
            if operation != "none":
                self.add_module(f"edge{start}{end}", edge(operation, channels, number))

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        edges = self._modules
        for incoming in _INTO:
            total: Tensor | None = None
            for start, name in incoming:
                edge = edges.get(name)
                if edge is not None:
                    value = edge(nodes[start])
                    total = value if total is None else total + value
            # A node to which no edge leads is zero. Convolutions of it are still computed.
            nodes.append(x.new_zeros(x.shape) if total is None else total)
        return nodes[3]


class Reduction(nn.Module):
    """x: [N, C, H, W] → [N, 2C, H/2, W/2]: two 3×3 layers in parallel with average pooling and a 1×1
    convolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer1 = _relu_conv_bn(channels, 2 * channels, 3, stride=2)
        self.layer2 = _relu_conv_bn(2 * channels, 2 * channels, 3)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, stride=2), nn.Conv2d(channels, 2 * channels, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer2(self.layer1(x)) + self.shortcut(x)
        return out


def _stem() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False), nn.BatchNorm2d(WIDTHS[0]))


def _head(classes: int) -> nn.Module:
    channels = WIDTHS[-1]
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, classes),
    )


_stand_in_stem = functools.cache(_stem)
_stand_in_reduction = functools.cache(Reduction)
_stand_in_head = functools.cache(_head)


class NasBench201(nn.Module):
    """x: [N, 3, 32, 32] → [N, classes], with the same cell throughout.

    stand_ins: all networks made this way share their modules except for the cells, and one cell is registered
    at all five places of a stage. Thousands of networks are then made in the time of one. This is only for
    tracing: training one of them would train all.
    """

    def __init__(self, operations: Sequence[str], classes: int = 10, stand_ins: bool = False) -> None:
        super().__init__()
        edge = _stand_in_edge if stand_ins else _edge
        self.stem = _stand_in_stem() if stand_ins else _stem()
        for stage, channels in enumerate(WIDTHS):
            if stage:
                reduction = _stand_in_reduction if stand_ins else Reduction
                self.add_module(f"reduction{stage}", reduction(channels // 2))
            cell = NasBench201Cell(operations, channels, edge) if stand_ins else None
            for number in range(CELLS_PER_STAGE):
                made = NasBench201Cell(operations, channels, edge) if cell is None else cell
                self.add_module(f"cell{stage}{number}", made)
        self.head = _stand_in_head(classes) if stand_ins else _head(classes)

    def forward(self, x: Tensor) -> Tensor:
        for part in self._modules.values():
            assert part is not None
            x = part(x)
        return x
