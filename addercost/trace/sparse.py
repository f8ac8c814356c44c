"""What a sparse tensor stores, also after its data is gone. On the meta device a tensor stores nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.sparse import SparseSemiStructuredTensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves

from addercost.trace.record import PRODUCTS, STORED_OUTPUTS, OpCall

_STORED = "_addercost_stored"
_REPEATED = "_addercost_repeated"
"""An attribute of tensors that may store several values for one place."""
_COMPRESSED = {
    torch.sparse_csr: (torch.Tensor.crow_indices, torch.Tensor.col_indices),
    torch.sparse_bsr: (torch.Tensor.crow_indices, torch.Tensor.col_indices),
    torch.sparse_csc: (torch.Tensor.ccol_indices, torch.Tensor.row_indices),
    torch.sparse_bsc: (torch.Tensor.ccol_indices, torch.Tensor.row_indices),
}


def is_sparse(tensor: Tensor) -> bool:
    """Whether a tensor is sparse. A dense tensor that stands for a semi-structured one is too."""
    return tensor.layout is torch.sparse_coo or tensor.layout in _COMPRESSED or hasattr(tensor, _STORED)


def stored_values(tensor: Tensor) -> tuple[int, int] | None:
    """(values that a sparse tensor stores, bytes of their indices); None for a dense one. All values of a
    stored block count.
    """
    known: tuple[int, int] | None = getattr(tensor, _STORED, None)
    if known is not None:
        return known
    if isinstance(tensor, SparseSemiStructuredTensor):
        return _semi_structured(tensor)
    if tensor.layout is torch.strided:
        return None
    if tensor.layout is torch.sparse_coo:
        indices: list[Any] = [tensor._indices()]
        return int(tensor._values().numel()), sum(t.numel() * t.element_size() for t in indices)
    parts = _COMPRESSED.get(tensor.layout)
    if parts is None:
        return None
    indices = [part(tensor) for part in parts]
    return int(tensor.values().numel()), sum(t.numel() * t.element_size() for t in indices)


def _semi_structured(tensor: SparseSemiStructuredTensor) -> tuple[int, int]:
    """Half of the values, as the format prescribes. Of a tensor that also keeps its transpose, only one of
    the two is read.
    """
    values = tensor.shape.numel() // 2
    given = (tensor.packed, tensor.meta) if tensor.packed is not None else (tensor.packed_t, tensor.meta_t)
    kept = sum(part.numel() * part.element_size() for part in given if part is not None)
    return values, kept - values * tensor.dtype.itemsize


def dense_stand_in(tensor: Tensor) -> Tensor:
    """A dense tensor without data in place of a semi-structured one, which counts as storing the same values;
    any other tensor itself.

    torch computes products of semi-structured tensors only on a GPU.
    """
    if not isinstance(tensor, SparseSemiStructuredTensor):
        return tensor
    return with_stored(torch.empty(tensor.shape, dtype=tensor.dtype, device="meta"), tensor)


def with_stored(made: Tensor, original: Tensor) -> Tensor:
    """`made`, which stands for `original` and is marked as storing the same values."""
    stored = stored_values(original)
    if stored is not None:
        setattr(made, _STORED, stored)
    if hasattr(original, _REPEATED) or (
        original.layout is torch.sparse_coo and not hasattr(original, _STORED) and not original.is_coalesced()
    ):
        setattr(made, _REPEATED, True)
    return made


def keep_stored(out: Tensor, value: object) -> None:
    """Marks `out` as storing what `value` stores. If it is a part of a dense stand-in, it stores its
    share.
    """
    if not isinstance(value, Tensor):
        return
    stored = stored_values(value)
    if stored is not None and value.layout is torch.strided and out.numel() != value.numel():
        stored = tuple(of * out.numel() // value.numel() for of in stored)  # type: ignore[assignment]
    if stored is not None:
        setattr(out, _STORED, stored)


def keep_pattern(name: str, tags: Sequence[str], args: Sequence[Any], out: Any) -> None:
    """Marks what a sparse output stores that an operator made without data, if it has the pattern of an
    argument.

    name, tags: of the operator, as in `OpInfo`; args: of the call. Raises NotImplementedError where values
    determine the pattern, and where the operator asks for what a tensor has lost with its data.
    """
    if (name in PARTS and hasattr(args[0], _STORED)) or (
        name == "is_coalesced" and hasattr(args[0], _REPEATED)
    ):
        raise NotImplementedError(f"{name} of a sparse tensor that has no data")
    if _factors(name, args) is not None:
        raise NotImplementedError(f"{name} has no data to say where two sparse tensors have values")
    if not isinstance(out, Tensor) or out.layout is torch.strided or "view" in tags:
        return
    sparse = [value for value in tree_leaves(args) if isinstance(value, Tensor) and is_sparse(value)]
    at = _PATTERN_OF.get(name)
    if at is not None:
        keep_stored(out, args[at])
    elif "pointwise" in tags and len(sparse) == 1 and sparse[0].shape == out.shape:
        keep_stored(out, sparse[0])
    elif sparse or name.startswith("_to_sparse"):
        raise NotImplementedError(f"{name} has no data to say which values its sparse output stores")


PARTS = frozenset(
    ("values", "_values", "indices", "_indices", "crow_indices", "col_indices", "ccol_indices", "row_indices")
)
"""Operators that return one of the dense tensors that a sparse one consists of."""
_PATTERN_OF = {
    "clone": 0, "detach": 0, "_to_copy": 0, "alias": 0, "lift_fresh": 0, "contiguous": 0,
    "zeros_like": 0, "ones_like": 0, "empty_like": 0, "copy_": 0, "_coalesced_": 0, "sparse_mask": 1,
    "_sparse_softmax": 0, "_sparse_log_softmax": 0, "_sparse_softmax_backward_data": 1,
    "_sparse_log_softmax_backward_data": 1, "sparse_sampled_addmm": 0, "_sparse_sum_backward": 1,
}  # fmt: skip
"""By the operator's name: the position of the argument whose pattern the output has."""


_FACTORS = {"mm": 0, "_sparse_sparse_matmul": 0, "addmm": 1, "_sparse_addmm": 1}
"""By the operator's name: the position of the first of a product's two matrices."""

ASK_PATTERN = frozenset((*PARTS, *_FACTORS, "is_coalesced"))
"""Operators that ask a sparse argument for its places, or whether it has each once."""


def _factors(name: str, args: Sequence[Any]) -> tuple[Tensor, Tensor] | None:
    """The matrices of a product, if both are sparse and not dense stand-ins, which have no places for their
    values. Else None.
    """
    at = _FACTORS.get(name)
    if at is None or len(args) < at + 2:
        return None
    a, b = args[at], args[at + 1]
    return None if torch.strided in (a.layout, b.layout) else (a, b)


def with_products(call: OpCall, name: str, args: Sequence[Any]) -> OpCall:
    """The call, with `PRODUCTS` and `STORED_OUTPUTS` if it multiplies two sparse matrices that have data.

    These numbers come from multiplying matrices that are one wherever the operands store a value. Each
    element of that result is the number of products in its sum.
    """
    factors = _factors(name, args)
    if factors is None:
        return call
    with _disable_current_modes(), torch.no_grad():
        counts = torch.sparse.mm(*map(_ones, factors)).coalesce()._values()
    found = {PRODUCTS: int(counts.sum()), STORED_OUTPUTS: counts.numel()}
    return replace(call, args={**call.args, **found})


def _ones(tensor: Tensor) -> Tensor:
    """A tensor in COO layout with a one at each place that stores a value."""
    places = tensor.detach().to_sparse_coo().coalesce()._indices()
    ones = torch.ones(places.shape[1], dtype=torch.float64)
    return torch.sparse_coo_tensor(places, ones, tensor.shape, is_coalesced=True, check_invariants=False)


class SparseGradients:
    """Finds the matrix products that compute gradients of sparse tensors.

    Such a gradient has as many values as its tensor stores, though some of torch's kernels also compute the
    others.
    """

    def __init__(self) -> None:
        self._stored: dict[int, int] = {}
        """The values of the sparse operand, by the number of autograd's node for a product."""
        self._pairs: dict[int, tuple[int, int, int]] = {}
        """For a product of two sparse matrices: its number of products, and the values that each matrix
        stores.
        """

    def noted(self, call: OpCall, in_forward: bool) -> OpCall:
        """The call that was just dispatched, with `STORED_OUTPUTS` if it computes such a gradient.

        The gradient of a product's other operand has the sparse tensor as an operand. If both operands are
        sparse, each gradient has as many products as the forward, one for each pair of values.
        """
        if call.name not in _PRODUCTS:
            return call
        stored = [spec.stored[0] for spec in call.tensors() if spec.stored is not None]
        if in_forward:
            newest = torch.autograd._get_sequence_nr() - 1  # type: ignore[attr-defined]
            products = call.args.get(PRODUCTS)
            if isinstance(products, int):
                self._pairs[newest] = products, stored[-2], stored[-1]
            elif stored:
                self._stored[newest] = stored[0]
            return call
        node = torch._C._current_autograd_node()
        if node is None:
            return call
        pair = self._pairs.get(node._sequence_nr())
        if pair is not None:
            products, of_a, of_b = pair
            outputs = of_a if stored[-1] == of_b else of_b
            return replace(call, args={**call.args, PRODUCTS: products, STORED_OUTPUTS: outputs})
        kept = self._stored.get(node._sequence_nr()) if not stored else None
        return call if kept is None else replace(call, args={**call.args, STORED_OUTPUTS: kept})


_PRODUCTS = frozenset(
    f"aten.{name}" for name in ("mm", "bmm", "addmm", "baddbmm", "_sparse_addmm", "_sparse_sparse_matmul")
)
