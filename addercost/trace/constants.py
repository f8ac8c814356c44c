"""Values of the constants that a forward makes from Python's numbers on the meta device, such as lengths.

`torch.tensor([3, 5], device="meta")` drops its values before a dispatch mode could see them. Therefore
torch's functions that make such constants are replaced while a model is traced.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

_MADE_OF_NUMBERS = ((torch, "tensor"), (torch, "as_tensor"), (torch.Tensor, "new_tensor"))
_MOST_ELEMENTS = 1 << 16


@contextmanager
def noted_constants(note: Callable[[Tensor, Tensor], None]) -> Iterator[None]:
    """While active, calls `note(tensor, values)` for each constant that this thread makes on the meta device.

    Only one thread at a time may enter: it replaces functions of torch, and restores them afterwards. The
    replacements pass on the calls of other threads, and those of a module that keeps a reference to a
    replaced function.
    """
    owner = [threading.get_ident()]
    with contextlib.ExitStack() as stack:
        stack.callback(owner.clear)
        for place, name in _MADE_OF_NUMBERS:
            inherited = name not in vars(place)
            original = getattr(place, name)
            setattr(place, name, _noting(original, note, owner))
            if inherited:
                stack.callback(delattr, place, name)
            else:
                stack.callback(setattr, place, name, original)
        yield


def _noting(original: Any, note: Callable[[Tensor, Tensor], None], owner: list[int]) -> Any:
    def made(*args: Any, **kwargs: Any) -> Any:
        out = original(*args, **kwargs)
        if owner != [threading.get_ident()] or not out.is_meta or out.numel() > _MOST_ELEMENTS:
            return out
        numbers = args[-1] if args else kwargs.get("data")
        # This raises for numbers that are themselves on the meta device; they have no values either.
        with contextlib.suppress(Exception), _disable_current_modes(), torch.no_grad():
            if not isinstance(numbers, Tensor):
                note(out, original(*args, **{**kwargs, "device": "cpu", "requires_grad": False}))
        return out

    return made
