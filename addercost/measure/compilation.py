"""Compiles a network by torch.compile for timing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def compiled(model: nn.Module) -> Callable[..., Any]:
    """The network's forward through torch.compile with inductor, for inputs of one shape.

    torch limits how many variants of a function it compiles, and counts those of networks before as well:
    what it compiled before is therefore forgotten first.
    """
    torch.compiler.reset()
    made: Callable[..., Any] = torch.compile(model, dynamic=False)
    return made
