"""Small models that counting tools see differently: each does one thing that a rule must know."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.counts.oracle import Function

Case = tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]


class Wrapped(nn.Module):
    """A layer under a parent of its own."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x)
        return out


class SharedByParents(nn.Module):
    """One linear layer under three parents."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.Linear(10, 10)
        self.a, self.b, self.c = Wrapped(layer), Wrapped(layer), Wrapped(layer)

    def forward(self, x: Tensor) -> Tensor:
        p, q, r = x.chunk(3, -1)
        return self.a(p) + self.b(q) + self.c(r)


class CalledTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(self.layer(x))
        return out


class Tied(nn.Module):
    """An output layer that uses the embedding's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.out = nn.Linear(6, 11, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.embed(x.abs().long()))
        return out


class Residual(nn.Module):
    """add: how the sum is written."""

    def __init__(self, add: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.add = add

    def forward(self, x: Tensor) -> Tensor:
        return self.add(self.conv(x), x)


def _in_place(a: Tensor, b: Tensor) -> Tensor:
    a += b
    return a


class Grouped(nn.Module):
    """Attention with four heads of queries on two of keys. causal masks; keep: the dropout's share."""

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, k, is_causal=True, enable_gqa=True)


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return out


class WrittenAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.out = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-2, -1)).softmax(-1)
        out: Tensor = self.out((scores @ v).transpose(1, 2).flatten(2))
        return out


class Functional(nn.Module):
    """A convolution and a linear layer called as functions on parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(4, 3, 3, 3))
        self.weight = nn.Parameter(torch.ones(5, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.conv2d(x, self.kernel))
        return F.linear(x.mean((-1, -2)), self.weight)


class Recurrent(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)[0]
        return out


class Cell(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.cell(x)[0]
        return out


class Peer(nn.Module):
    """A 1×1 convolution, a pool to one element, and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 10, 1), nn.AdaptiveAvgPool2d(1)
        self.one, self.two = nn.Linear(10, 10), nn.Linear(10, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.two(self.one(self.pool(self.conv(x)).flatten(1)))
        return out


def _embedded() -> nn.Module:
    return nn.Sequential(Function(lambda x: x.abs().long()), nn.Embedding(9, 6), nn.Linear(6, 2))


def _normed() -> nn.Module:
    """With weights `weight_g` and `weight_v`."""
    with warnings.catch_warnings(action="ignore"):  # torch prefers another form of it
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(8, 6)))


def _after_convolution(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Conv2d(3, 4, 3), *layers)


def _two(function: Callable[..., Tensor]) -> Callable[[], nn.Module]:
    return lambda: Function(function)


_IMAGE, _ROWS, _SERIES = ((2, 3, 8, 8),), ((2, 5, 8),), ((4, 5, 8),)
MODELS: Mapping[str, Case] = {
    "shared by three parents": (SharedByParents, ((4, 30),)),
    "called twice": (CalledTwice, ((3, 8),)),
    "tied": (Tied, ((2, 4),)),
    "bare transposed": (lambda: nn.ConvTranspose2d(3, 1, 2, stride=2), ((1, 3, 2, 2),)),
    "transposed in groups": (
        lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2)),
        ((2, 4, 5, 5),),
    ),
    "grouped": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3, groups=2, bias=False)), ((2, 4, 8, 8),)),
    "depthwise": (lambda: nn.Sequential(nn.Conv2d(4, 8, 3, groups=4, padding=1)), ((1, 4, 8, 8),)),
    "one axis": (lambda: nn.Sequential(nn.Conv1d(3, 4, 3, dilation=2)), ((2, 3, 9),)),
    "three axes": (lambda: nn.Sequential(nn.Conv3d(2, 3, 2)), ((1, 2, 4, 4, 4),)),
    "padding in a circle": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular")),
        _IMAGE,
    ),
    "bare linear": (lambda: nn.Linear(8, 3), ((5, 8),)),
    "linear of three axes": (lambda: nn.Sequential(nn.Linear(8, 3, bias=False)), _ROWS),
    "bilinear form": (lambda: nn.Bilinear(3, 4, 5), ((2, 3), (2, 4))),
    "functions": (Functional, _IMAGE),
    "LSTM, two layers, both ways": (
        lambda: Recurrent(nn.LSTM(8, 16, 2, bidirectional=True, batch_first=True)),
        _SERIES,
    ),
    "GRU": (lambda: Recurrent(nn.GRU(8, 6)), ((5, 3, 8),)),
    "RNN without bias": (lambda: Recurrent(nn.RNN(8, 6, bias=False, batch_first=True)), _SERIES),
    "LSTM cell": (Cell, ((3, 6),)),
    "LSTM with projections": (lambda: Recurrent(nn.LSTM(8, 6, proj_size=4)), ((5, 3, 8),)),
    "LSTM without a batch": (lambda: Recurrent(nn.LSTM(8, 6)), ((5, 8),)),
    "convolution without a batch": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3, groups=1)), ((3, 8, 8),)),
    "RNN cell": (lambda: nn.Sequential(nn.RNNCell(6, 5)), ((3, 6),)),
    "pools of one axis": (
        lambda: nn.Sequential(nn.Conv1d(3, 4, 3), nn.AvgPool1d(2), nn.MaxPool1d(2), nn.AdaptiveAvgPool1d(2)),
        ((2, 3, 20),),
    ),
    "pools of three axes": (
        lambda: nn.Sequential(nn.Conv3d(2, 3, 2), nn.AvgPool3d(1), nn.AdaptiveAvgPool3d(2)),
        ((1, 2, 5, 5, 5),),
    ),
    "pools as functions": (
        _after_convolution(Function(lambda x: F.max_pool2d(F.avg_pool2d(x, 2), 1))),
        _IMAGE,
    ),
    "global pool as a function": (
        _after_convolution(Function(lambda x: F.adaptive_avg_pool2d(x, 1))),
        _IMAGE,
    ),
    "norms as functions": (
        _after_convolution(Function(lambda x: F.layer_norm(F.instance_norm(F.group_norm(x, 2)), (6, 6)))),
        _IMAGE,
    ),
    "activations as functions": (
        _after_convolution(Function(lambda x: torch.relu(x).softmax(1).sigmoid())),
        _IMAGE,
    ),
    "batch statistics": (_after_convolution(nn.BatchNorm2d(4, track_running_stats=False)), _IMAGE),
    "matmul that is folded": (_two(lambda a, b: torch.matmul(a, b)), ((4, 3), (2, 3, 5))),
    "product of transposed rows": (_two(lambda a, b: a.mT @ b), ((2, 3, 4), (3, 5))),
    "GRU cell": (lambda: nn.Sequential(nn.GRUCell(6, 5)), ((3, 6),)),
    "attention, grouped queries": (Grouped, ((1, 4, 8, 16), (1, 2, 8, 16))),
    "attention module": (SelfAttention, _ROWS),
    "attention written out": (WrittenAttention, _ROWS),
    "encoder layer": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True),
        _ROWS,
    ),
    "batch norm": (_after_convolution(nn.BatchNorm2d(4)), _IMAGE),
    "batch norm without affine": (_after_convolution(nn.BatchNorm2d(4, affine=False)), _IMAGE),
    "group norm": (_after_convolution(nn.GroupNorm(2, 4)), _IMAGE),
    "layer norm": (lambda: nn.Sequential(nn.Linear(8, 6), nn.LayerNorm(6)), _ROWS),
    "instance norm": (_after_convolution(nn.InstanceNorm2d(4, affine=True)), _IMAGE),
    "activations": (
        _after_convolution(
            nn.ReLU(), nn.PReLU(), nn.LeakyReLU(), nn.GELU(), nn.SiLU(), nn.ELU(), nn.ReLU6(), nn.Sigmoid()
        ),
        _IMAGE,
    ),
    "average pools": (_after_convolution(nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(2)), _IMAGE),
    "global pool": (_after_convolution(nn.AdaptiveAvgPool2d(1)), _IMAGE),
    "uneven pool": (_after_convolution(nn.AdaptiveAvgPool2d((4, 5))), _IMAGE),
    "largest pools": (_after_convolution(nn.MaxPool2d(2), nn.AdaptiveMaxPool2d(2)), _IMAGE),
    "nearest": (_after_convolution(nn.Upsample(scale_factor=2)), _IMAGE),
    "linear in two axes": (_after_convolution(nn.Upsample(scale_factor=2, mode="bilinear")), _IMAGE),
    "cubic": (_after_convolution(nn.Upsample(size=(9, 9), mode="bicubic")), _IMAGE),
    "resized as a function": (
        _after_convolution(Function(lambda x: F.interpolate(x, scale_factor=2.0))),
        _IMAGE,
    ),
    "pixel shuffle": (_after_convolution(nn.PixelShuffle(2)), _IMAGE),
    "grid": (_two(lambda x, g: F.grid_sample(x, g, align_corners=False)), ((1, 3, 4, 4), (1, 5, 6, 2))),
    "embedding": (_embedded, ((2, 4),)),
    "softmax of one element": (lambda: nn.Sequential(nn.Linear(8, 1), nn.Softmax(-1)), ((3, 8),)),
    "along one axis": (
        lambda: nn.Sequential(
            nn.Conv1d(3, 4, 3),
            nn.InstanceNorm1d(4, affine=True),
            nn.Upsample(scale_factor=2),
            nn.Upsample(scale_factor=2, mode="linear"),
        ),
        ((2, 3, 8),),
    ),
    "average pool of one axis": (lambda: nn.Sequential(nn.Conv1d(3, 4, 3), nn.AvgPool1d(2)), ((2, 3, 20),)),
    "convolution as a function": (
        _two(lambda x, w: F.conv2d(x, w)),
        ((1, 3, 8, 8), (4, 3, 3, 3)),
    ),
    "along three axes": (
        lambda: nn.Sequential(nn.Conv3d(2, 3, 2), nn.InstanceNorm3d(3), nn.Upsample(scale_factor=2)),
        ((1, 2, 4, 4, 4),),
    ),
    "weight norm": (_normed, ((3, 8),)),
    "softmax module": (lambda: nn.Sequential(nn.Linear(8, 6), nn.Softmax(-1)), ((3, 8),)),
    "matmul": (_two(lambda *given: torch.matmul(*given)), ((2, 3, 4), (2, 4, 5))),
    "operator @": (_two(lambda a, b: a @ b), ((2, 3, 4), (2, 4, 5))),
    "matmul, second operand wider": (_two(lambda *given: torch.matmul(*given)), ((3, 4), (2, 4, 5))),
    "matmul, first operand wider": (_two(lambda *given: torch.matmul(*given)), ((2, 3, 4), (4, 5))),
    "matmul, both broadcast": (_two(lambda *given: torch.matmul(*given)), ((2, 1, 3, 4), (3, 4, 5))),
    "matmul of vectors": (_two(lambda *given: torch.matmul(*given)), ((4,), (4,))),
    "baddbmm": (_two(lambda *given: torch.baddbmm(*given)), ((2, 3, 5), (2, 3, 4), (2, 4, 5))),
    "einsum": (_two(lambda a, b: torch.einsum("bij,bkj->bik", a, b)), ((2, 3, 4), (2, 5, 4))),
    "einsum of four axes": (
        _two(lambda a, b: torch.einsum("bihd,bjhd->bhij", a, b)),
        ((2, 31, 4, 17), (2, 29, 4, 17)),
    ),
    "residual +": (lambda: Residual(lambda a, b: a + b), ((1, 4, 6, 6),)),
    "residual +=": (lambda: Residual(_in_place), ((1, 4, 6, 6),)),
    "residual torch.add": (lambda: Residual(lambda a, b: torch.add(a, b)), ((1, 4, 6, 6),)),
    "residual x.add": (lambda: Residual(lambda a, b: a.add(b)), ((1, 4, 6, 6),)),
    "scaled by torch.mul": (lambda: Residual(lambda a, b: torch.mul(a, b)), ((1, 4, 6, 6),)),
    "a peer's own test": (Peer, ((1, 3, 10, 10),)),
}
"""(makes the model, shapes of its inputs). Inputs are ones."""
