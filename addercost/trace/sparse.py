"""What a sparse tensor stores, also once its data is gone: a tensor on the meta device stores nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from addercost.trace.record import STORED_OUTPUTS, OpCall

_STORED = "_addercost_stored"
_COMPRESSED = {
    torch.sparse_csr: (torch.Tensor.crow_indices, torch.Tensor.col_indices),
    torch.sparse_bsr: (torch.Tensor.crow_indices, torch.Tensor.col_indices),
    torch.sparse_csc: (torch.Tensor.ccol_indices, torch.Tensor.row_indices),
    torch.sparse_bsc: (torch.Tensor.ccol_indices, torch.Tensor.row_indices),
}


def is_sparse(tensor: Tensor) -> bool:
    return tensor.layout is torch.sparse_coo or tensor.layout in _COMPRESSED


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


class SparseGradients:
    """Finds the matrix products that give gradients of sparse tensors. Such a gradient has as many values as
    its tensor stores, though some of torch's kernels compute the others too.
    """

    def __init__(self) -> None:
        self._stored: dict[int, int] = {}
        """Values of the sparse operand by the number of autograd's node for a product."""

    def noted(self, call: OpCall, in_forward: bool) -> OpCall:
        """The call, which was dispatched just now, with `STORED_OUTPUTS` if it gives such a gradient. The
        gradient of a product's other operand has the sparse one as an operand.
        """
        if call.name not in _PRODUCTS:
            return call
        stored = next((spec.stored for spec in call.tensors() if spec.stored is not None), None)
        if in_forward:
            if stored is not None:
                newest = torch.autograd._get_sequence_nr() - 1  # type: ignore[attr-defined]
                self._stored[newest] = stored[0]
            return call
        node = torch._C._current_autograd_node()
        kept = self._stored.get(node._sequence_nr()) if node is not None and stored is None else None
        return call if kept is None else replace(call, args={**call.args, STORED_OUTPUTS: kept})


_PRODUCTS = frozenset(f"aten.{name}" for name in ("mm", "bmm", "addmm", "baddbmm", "_sparse_addmm"))
