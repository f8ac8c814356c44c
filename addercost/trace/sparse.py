"""What a sparse tensor stores, also once its data is gone: a tensor on the meta device stores nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_STORED = "_addercost_stored"
_COMPRESSED = {
    torch.sparse_csr: (torch.Tensor.crow_indices, torch.Tensor.col_indices),
    torch.sparse_bsr: (torch.Tensor.crow_indices, torch.Tensor.col_indices),
    torch.sparse_csc: (torch.Tensor.ccol_indices, torch.Tensor.row_indices),
    torch.sparse_bsc: (torch.Tensor.ccol_indices, torch.Tensor.row_indices),
}


def stored_values(tensor: Tensor) -> tuple[int, int] | None:
    """(values that a sparse tensor stores, bytes of their indices); None for a dense one. A block that is
    stored has all of its values.
    """
    known: tuple[int, int] | None = getattr(tensor, _STORED, None)
    if known is not None or tensor.layout is torch.strided:
        return known
    if tensor.layout is torch.sparse_coo:
        indices: list[Any] = [tensor._indices()]
        return int(tensor._values().numel()), sum(t.numel() * t.element_size() for t in indices)
    parts = _COMPRESSED.get(tensor.layout)
    if parts is None:
        return None
    indices = [part(tensor) for part in parts]
    return int(tensor.values().numel()), sum(t.numel() * t.element_size() for t in indices)


def with_stored(made: Tensor, original: Tensor) -> Tensor:
    """`made`, which takes the place of `original` and stores what that stores."""
    if original.layout is not torch.strided:
        setattr(made, _STORED, stored_values(original))
    return made


def keep_stored(out: Tensor, value: object) -> None:
    """`out` is a view or a copy of `value` and stores what that does, duplicates that it adds up included."""
    if isinstance(value, Tensor) and value.layout is not torch.strided:
        with_stored(out, value)
