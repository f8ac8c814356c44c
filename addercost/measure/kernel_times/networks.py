"""Networks of random layers. They are timed whole to find what a network takes in addition to its kernels
alone: the time of calls, and of weights that the caches do not keep between two runs.

They follow patterns that real networks are built of, with sizes drawn at random. None of them is a real
network.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

LEAST_WEIGHTS, MOST_WEIGHTS = 3e5, 3e7
LEAST_SMALL_WEIGHTS, MOST_SMALL_WEIGHTS = 1e4, 6e5


@dataclass(frozen=True, slots=True)
class RandomNetwork:
    """A network of about so many weights, whose sizes follow from its name and the seed."""

    name: str
    pattern: str
    weights: float
    seed: int

    def made(self) -> tuple[nn.Module, tuple[int, ...]]:
        """(the network, the shape of its input)."""
        module, input_shape = _EVERY_PATTERN[self.pattern](
            random.Random(f"{self.seed} {self.name}"), self.weights
        )
        return module.eval(), input_shape


def random_networks(count: int, seed: int) -> Iterator[RandomNetwork]:
    """Networks that take the patterns in turn. Each has more weights than the one before it with the same
    pattern.
    """
    patterns = list(_PATTERNS)
    for i in range(count):
        pattern = patterns[i % len(patterns)]
        steps = max((count - 1) // len(patterns), 1)
        share = (i // len(patterns)) / steps
        weights = _weights(LEAST_WEIGHTS, MOST_WEIGHTS, share)
        yield RandomNetwork(f"{pattern} {i}", pattern, weights, seed)


def small_networks(count: int, seed: int) -> Iterator[RandomNetwork]:
    """Networks for small images, whose kernels take little longer than their calls. Without them the time of
    a call was fitted to 1 µs on an Emerald Rapids core, and ResNet-20 was predicted to take 0.83 of its time.
    """
    for i in range(count):
        weights = _weights(LEAST_SMALL_WEIGHTS, MOST_SMALL_WEIGHTS, i / max(count - 1, 1))
        yield RandomNetwork(f"small {i}", "small", weights, seed)


def _weights(least: float, most: float, share: float) -> float:
    """The number at this share of the way from `least` to `most`, on a logarithmic scale."""
    return math.exp(math.log(least) + share * math.log(most / least))


class _Residual(nn.Module):
    def __init__(self, inner: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.inner, self.activation = inner, activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.inner(x) + x)  # type: ignore[no-any-return]


class _Squeeze(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = max(8, channels // 4)
        self.pool, self.down, self.up = (
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, middle, 1),
            nn.Conv2d(middle, channels, 1),
        )
        self.scale = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = x * self.scale(self.up(nn.functional.relu(self.down(self.pool(x)))))
        return scaled


class _Dense(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.inner(x.clone())], 1)


def _block(
    c: int, k: int, taps: int, stride: int = 1, groups: int = 1, activation: nn.Module | None = None
) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(c, k, taps, stride, taps // 2, groups=groups, bias=False),
        nn.BatchNorm2d(k),
        activation or nn.ReLU(inplace=True),
    )


def _stages(
    chance: random.Random, weights: float, block: Callable[[int], nn.Module]
) -> tuple[nn.Module, tuple[int, ...]]:
    """Stages of blocks until the network has the wanted number of weights. Each stage has half the rows and
    columns and twice the channels of the one before.
    """
    width = 8 * chance.randint(3, 8)
    size = chance.choice((112, 128, 160, 192))
    layers: list[nn.Module] = [_block(3, width, 3, 2)]
    for stage in range(4):
        for _ in range(chance.randint(1, 3)):
            layers.append(block(width))
        if stage < 3:
            layers.append(_block(width, 2 * width, 3, 2))
            width *= 2
        if sum(p.numel() for layer in layers for p in layer.parameters()) > weights:
            break
    while sum(p.numel() for layer in layers for p in layer.parameters()) < weights and len(layers) < 60:
        layers.append(block(width))
    head: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1000)]
    return nn.Sequential(*layers, *head), (1, 3, size, size)


def _plain(chance: random.Random, weights: float) -> tuple[nn.Module, tuple[int, ...]]:
    return _stages(chance, weights, lambda width: _block(width, width, 3))


def _bottleneck(chance: random.Random, weights: float) -> tuple[nn.Module, tuple[int, ...]]:
    def block(width: int) -> nn.Module:
        middle = max(8, width // 4)
        inner = nn.Sequential(_block(width, middle, 1), _block(middle, middle, 3), _block(middle, width, 1))
        return _Residual(inner, nn.ReLU(inplace=True))

    return _stages(chance, weights, block)


def _inverted(chance: random.Random, weights: float) -> tuple[nn.Module, tuple[int, ...]]:
    taps = chance.choice((3, 5))
    activation = chance.choice((nn.ReLU6, nn.Hardswish, nn.SiLU))

    def block(width: int) -> nn.Module:
        wide = 4 * width
        inner = nn.Sequential(
            _block(width, wide, 1, activation=activation(inplace=True)),
            _block(wide, wide, taps, groups=wide, activation=activation(inplace=True)),
            _Squeeze(wide),
            nn.Conv2d(wide, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        return _Residual(inner, nn.Identity())

    return _stages(chance, weights, block)


def _grouped(chance: random.Random, weights: float) -> tuple[nn.Module, tuple[int, ...]]:
    def block(width: int) -> nn.Module:
        inner = nn.Sequential(
            _block(width, width, 1), _block(width, width, 3, groups=width // 8), _block(width, width, 1)
        )
        return _Residual(inner, nn.ReLU(inplace=True))

    return _stages(chance, weights, block)


def _dense(chance: random.Random, weights: float) -> tuple[nn.Module, tuple[int, ...]]:
    growth, width = 16, 64
    size = chance.choice((48, 56, 64))
    layers: list[nn.Module] = [_block(3, width, 3)]
    while sum(p.numel() for layer in layers for p in layer.parameters()) < weights and len(layers) < 70:
        layers.append(_Dense(width, growth))
        width += growth
        if width > 384:
            layers.append(_block(width, width // 2, 1, 2))
            width //= 2
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1000)), (
        1,
        3,
        size,
        size,
    )


class _Mixing(nn.Module):
    """A transformer block: attention and two linear layers, each after a norm and added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        q, k, v = (
            self.qkv(self.first(x))
            .reshape(n, length, 3, self.heads, width // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, length, width)
        x = x + self.out(mixed)
        return x + self.down(nn.functional.gelu(self.up(self.second(x))))  # type: ignore[no-any-return]


def _mixing(chance: random.Random, weights: float) -> tuple[nn.Module, tuple[int, ...]]:
    heads, length = chance.choice((3, 4, 6, 8, 12)), chance.choice((49, 64, 100, 128, 196))
    width = 64 * heads
    depth = max(1, min(16, round(weights / (12 * width * width))))
    return nn.Sequential(*(_Mixing(width, heads) for _ in range(depth))), (1, length, width)


def _small(chance: random.Random, weights: float) -> tuple[nn.Module, tuple[int, ...]]:
    """Three stages, the first of 8 to 16 channels, with blocks of two convolutions until the last has so many
    that the network has the wanted number of weights.
    """
    width, size = 8 * chance.randint(1, 2), chance.choice((28, 32))
    layers: list[nn.Module] = [_block(3, width, 3)]
    of_stage = max(1, round(weights / (2 * 9 * width * width * (1 + 4 + 16))))
    for stage in range(3):
        for _ in range(min(of_stage, 6)):
            inner = nn.Sequential(_block(width, width, 3), _block(width, width, 3, activation=nn.Identity()))
            layers.append(_Residual(inner, nn.ReLU(inplace=True)))
        if stage < 2:
            layers.append(_block(width, 2 * width, 3, 2))
            width *= 2
    head: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)]
    return nn.Sequential(*layers, *head), (1, 3, size, size)


_PATTERNS: dict[str, Callable[[random.Random, float], tuple[nn.Module, tuple[int, ...]]]] = {
    "plain": _plain,
    "bottleneck": _bottleneck,
    "inverted bottleneck": _inverted,
    "grouped": _grouped,
    "dense": _dense,
    "attention": _mixing,
}
_EVERY_PATTERN = {**_PATTERNS, "small": _small}
