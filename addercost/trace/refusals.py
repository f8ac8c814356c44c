"""Decides whether a data-free run failed because it has no data. Only then is a run with data worth
trying.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

from addercost.text import error_text

_LARGEST_BYTES = 1 << 30
"""The most bytes of an operator's arguments for which it is run to see whether the CPU accepts them."""

_NEEDS_VALUES = re.compile(
    r"\bmeta\b|no data|data-?dependent|dynamic ?output ?shape|fake ?tensor|unsupported fake|fake impl"
    r"|unknown device type for autocast|attribute 'flop_counter'|nestedint|nestedtensor"
)
"""Matches messages of errors about missing values."""


def wants_values(error: BaseException | None) -> bool:
    """Whether the error says that a value was read, which a run without data does not have."""
    text = f"{type(error).__name__} {error_text(error)}".lower()
    return isinstance(error, NotImplementedError) or _NEEDS_VALUES.search(text) is not None


def about_devices(error: BaseException | None) -> bool:
    return "device" in error_text(error).lower()


def cpu_takes(refused: tuple[Any, tuple[Any, ...], dict[str, Any]] | None) -> bool:
    """Whether an operator that refused its data-free arguments accepts the same arguments with values.

    refused: the operator, its arguments and keyword arguments; None if no operator raised.
    """
    if refused is None:
        return False
    func, args, kwargs = refused
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors) > _LARGEST_BYTES:
        return False
    try:
        with _disable_current_modes(), torch.no_grad():
            real_args, real_kwargs = tree_map(_valued, (args, dict(kwargs)))
            func(*real_args, **real_kwargs)
    except Exception:
        return False
    return True


def _valued(value: Any) -> Any:
    """Ones in place of a data-free tensor. One is a valid index of most things, and a valid length."""
    if isinstance(value, torch.device):
        return torch.device("cpu")
    if not isinstance(value, Tensor):
        return value
    if value.untyped_storage().device.type != "meta":
        return value.detach().clone()
    return torch.ones(tuple(value.shape), dtype=value.dtype, device="cpu")
