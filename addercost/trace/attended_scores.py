"""How many attention scores count, where that depends on values: lengths of sequences, or masks.

Integer inputs keep their values for this purpose, also in a run without data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from addercost.trace.record import KEPT_SCORES, SCORES

Facts: TypeAlias = Callable[[Mapping[str, Any]], dict[str, int]]
"""From the arguments of an operator's call to further arguments. The result is empty where a value is
unknown.
"""

_VALUES = "_addercost_values"
_GIVEN = "_addercost_given"
_MOST_LENGTHS, _MOST_OF_A_MASK = 1 << 16, 1 << 26
"""The most elements of a tensor of lengths, and of a mask."""


def with_values_of(made: Tensor, original: Tensor) -> Tensor:
    """`made`, which stands for `original` in a run without data. It carries the values of `original` if these
    may be lengths, positions or a mask.
    """
    if not _may_decide(original):
        return made
    known = known_values(original)
    return made if known is None else give_values(made, known)


def input_with_values_of(made: Tensor, original: Tensor) -> Tensor:
    """The same for an input of the forward.

    A count may use such values. If the forward itself reads them, it is run again with data, and the trace
    says so.
    """
    if original.device.type != "meta":
        say_given(made)
    return with_values_of(made, original)


def say_given(tensor: Tensor) -> None:
    """Marks the tensor: its values depend on those of an input."""
    setattr(tensor, _GIVEN, True)


def is_given(tensor: Tensor) -> bool:
    return hasattr(tensor, _GIVEN)


def _may_decide(tensor: Tensor) -> bool:
    if tensor.dtype in (torch.int32, torch.int64):
        return tensor.numel() <= _MOST_LENGTHS
    # A mask of floating-point numbers is added to the scores. It is not a parameter.
    is_mask = tensor.dtype == torch.bool or (
        tensor.is_floating_point() and tensor.dim() >= 2 and not isinstance(tensor, torch.nn.Parameter)
    )
    return is_mask and tensor.numel() <= _MOST_OF_A_MASK


def give_values(made: Tensor, values: Tensor) -> Tensor:
    """The tensor, which has no data, with values for `known_values` to find."""
    setattr(made, _VALUES, values)
    return made


def forget_values(tensor: Tensor) -> None:
    """The tensor was written, so the values that it was given are no longer its own."""
    if hasattr(tensor, _VALUES):
        delattr(tensor, _VALUES)


def known_values(tensor: Tensor | None) -> Tensor | None:
    """The tensor's values, on the CPU; None if they are unknown."""
    if tensor is None:
        return None
    known: Tensor | None = getattr(tensor, _VALUES, None)
    if known is not None or type(tensor) is not Tensor or tensor.device.type != "cpu":
        return known
    return tensor


def _masked(given: Mapping[str, Any]) -> dict[str, int]:
    """The number of scores that a mask keeps, be it of truth values or of numbers that are added."""
    query, key = given["query"], given["key"]
    mask = known_values(given.get("attn_mask"))
    if mask is None or mask.numel() > _MOST_OF_A_MASK or query.is_nested:
        return {}
    whole = math.prod(query.shape[:-1]) * key.shape[-2]
    with _disable_current_modes():
        kept = mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
        return {KEPT_SCORES: int(kept.sum()) * (whole // mask.numel())} if mask.numel() else {}


def _of_lengths(given: Mapping[str, Any]) -> dict[str, int]:
    """The number of scores of sequences that are stored one after another, and of those within a window.

    Key j is in the window of query i if i - left ≤ j - (keys - queries) ≤ i + right. A side of -1 is
    unlimited.
    """
    query = given["query"]
    ends = known_values(given["cu_seq_q"])
    used = given.get("seqused_k")
    key_ends = known_values(given.get("cu_seq_k")) if used is None else None
    if ends is None or (key_ends is None and known_values(used) is None) or int(ends[-1]) != query.shape[0]:
        return {}
    with _disable_current_modes():
        rows = ends.diff().tolist()
        columns = key_ends.diff().tolist() if key_ends is not None else known_values(used).tolist()  # type: ignore[union-attr]
    heads = query.shape[1]
    left, right = given.get("window_size") or (-1, -1)
    if given.get("is_causal"):
        right = 0
    found = {SCORES: heads * sum(r * c for r, c in zip(rows, columns, strict=True))}
    if (left, right) != (-1, -1):
        pairs = zip(rows, columns, strict=True)
        found[KEPT_SCORES] = heads * sum(_in_window(r, c, left, right) for r, c in pairs)
    return found


def _in_window(rows: int, columns: int, left: int, right: int) -> int:
    kept = 0
    for row in range(columns - rows, columns):
        first = max(row - left, 0) if left >= 0 else 0
        last = min(row + right, columns - 1) if right >= 0 else columns - 1
        kept += max(last - first + 1, 0)
    return kept


ATTENDED: Mapping[str, Facts] = {
    "aten.scaled_dot_product_attention": _masked,
    "torch_attn._varlen_attn": _of_lengths,
    "torch_attn._varlen_attn_out": _of_lengths,
    "torch_attn._varlen_attn_backward": _of_lengths,
}
"""By the operator's name."""
