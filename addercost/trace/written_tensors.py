"""The caller's tensors that a forward writes in place. They are copied before the first write and restored
afterwards.

Parameters, buffers and inputs are replaced during a trace and do not need this. It is for tensors among a
module's attributes, in a closure or in a global variable, which the forward uses as they are.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves


class WrittenTensors:
    """Storages by their address: those that the forward made, and copies of others that it writes."""

    def __init__(self) -> None:
        self._made: set[int] = set()
        self._copies: dict[int, tuple[Any, Any]] = {}

    def made(self, values: Any) -> None:
        """Records that the forward may write these tensors."""
        for value in values if isinstance(values, list | tuple) else (values,):
            storage = _storage(value)
            if storage is not None:
                self._made.add(storage._cdata)

    def about_to_write(self, values: Any) -> None:
        """Copies the values of those tensors that the forward did not make."""
        for value in tree_leaves(values):
            storage = _storage(value)
            if storage is None:
                continue
            key = storage._cdata
            if key not in self._made and key not in self._copies:
                with _disable_current_modes():
                    self._copies[key] = storage, storage.clone()

    def put_back(self) -> list[str]:
        """Writes the copies back. Returns one line for each storage for which that failed."""
        problems = []
        for storage, copy in self._copies.values():
            try:
                if storage.nbytes() != copy.nbytes():
                    storage.resize_(copy.nbytes())
                storage.copy_(copy)
            except Exception as error:
                problems.append(f"a tensor of {copy.nbytes():,} bytes: {error}")
        self._copies.clear()
        return problems


def _storage(value: Any) -> Any:
    """A tensor's storage; None if it has no values there."""
    if not isinstance(value, Tensor) or value.is_meta:
        return None
    try:
        storage = value.untyped_storage()
    except (RuntimeError, NotImplementedError):
        return None
    return None if storage.device.type == "meta" else storage  # A fake tensor's storage has no values.
