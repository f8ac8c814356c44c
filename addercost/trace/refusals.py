"""Whether a data-free run failed because it has no data: a run with values is worth trying then, and only
then.
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
"""Of the arguments of an operator that is run to see whether the CPU takes them."""

_NEEDS_VALUES = re.compile(
    r"\bmeta\b|no data|data-?dependent|dynamic ?output ?shape|fake ?tensor|unsupported fake|fake impl"
    r"|unknown device type for autocast|attribute 'flop_counter'|nestedint|nestedtensor"
)
"""In the messages of errors that are about missing values."""


def wants_values(error: BaseException | None) -> bool:
    """Whether an error is about a value that was read, which a run without data does not have."""
    text = f"{type(error).__name__} {error_text(error)}".lower()
    return isinstance(error, NotImplementedError) or _NEEDS_VALUES.search(text) is not None


def about_devices(error: BaseException | None) -> bool:
    return "device" in error_text(error).lower()


def cpu_takes(refused: tuple[Any, tuple[Any, ...], dict[str, Any]] | None) -> bool:
    """Whether an operator that refused its data-free arguments takes the same ones with values.

    refused: the operator, its arguments and keyword arguments; None where none raised.
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
    """Ones for a data-free tensor: a valid index of most things, and a valid length."""
    if isinstance(value, torch.device):
        return torch.device("cpu")
    if not isinstance(value, Tensor):
        return value
    if value.untyped_storage().device.type != "meta":
        return value.detach().clone()
    return torch.ones(tuple(value.shape), dtype=value.dtype, device="cpu")
