"""The type of the objects that every file of this folder makes: a model with the arguments of one forward."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Case:
    """A model with the arguments of one forward.

    ours: its configuration is one that we chose, where the package names none or a toy.
    """

    model: nn.Module
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    ours: bool = False

    @property
    def has_values(self) -> bool:
        """False for a model on torch's meta device, which holds shapes without memory for numbers."""
        return not any(parameter.is_meta for parameter in self.model.parameters())


Make = Callable[[], Case]


def image(size: int = 224, channels: int = 3, device: str = "cpu") -> Tensor:
    return torch.rand(1, channels, size, size, device=device)


def tokens(length: int = 64, device: str = "cpu") -> Tensor:
    return torch.randint(0, 100, (1, length), device=device)


def named(names: Iterable[str], make: Callable[..., Case]) -> dict[str, Make]:
    return {name: functools.partial(make, name) for name in names}
