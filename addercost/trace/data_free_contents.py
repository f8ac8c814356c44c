"""Tensors without data inside the objects that a forward is given, such as the cache of an earlier one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


def replace_data_free_contents(given: Any, substitute: Callable[[Tensor], Tensor]) -> None:
    """Puts `substitute(tensor)` in place of each data-free tensor in the attributes, lists and dictionaries
    that `given` refers to. Use within `caller_state.unchanged`.
    """
    seen: set[int] = set()
    waiting = [given]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, nn.Module | Tensor | type):
            continue
        seen.add(id(value))
        holder = value if isinstance(value, dict | list | tuple) else getattr(value, "__dict__", None)
        if isinstance(holder, dict):
            entries = list(holder.items())
        elif isinstance(holder, list | tuple):
            entries = list(enumerate(holder))
        else:
            continue
        for key, item in entries:
            if isinstance(item, Tensor) and item.is_meta and not isinstance(holder, tuple):
                holder[key] = substitute(item)
            else:
                waiting.append(item)
