"""Which operator calls start a kernel, and which are only views or bookkeeping. This file needs no torch."""

from __future__ import annotations

from addercost.trace.record import OpCall

_STARTS_NONE = frozenset(
    f"aten.{name}"
    for name in (
        "_unsafe_view", "detach", "detach_", "alias", "lift_fresh", "lift_fresh_copy", "as_strided_",
        "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk", "set_", "resize_", "resize_as_",
        "scalar_tensor", "empty", "empty_like", "empty_strided", "empty_permuted", "new_empty",
        "new_empty_strided", "_assert_async", "_assert_tensor_metadata", "is_same_size", "sym_size",
        "sym_numel", "sym_stride", "sym_storage_offset", "size", "numel", "dim", "len",
        "_local_scalar_dense", "item", "_linalg_check_errors",
    )
)  # fmt: skip
"""Operators that start no kernel although their schema does not make them views, or that do so little that
only the call itself takes time."""


def starts_kernel(call: OpCall) -> bool:
    return not ("view" in call.tags or call.name in _STARTS_NONE or call.name.startswith("prim."))
