"""torch's flex_attention as one operator that computes only the blocks that its mask keeps.

A block that the mask hides is not computed. A block that the mask keeps, or keeps in part, is computed whole,
within the lengths of the sequences. Without a block mask every score is computed. The functions that change a
score, or decide whether it counts, are recorded as the calls that they make on all scores that they apply to.
What these calls make stays in registers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes, _get_current_dispatch_mode

from addercost.trace.attention import is_whole
from addercost.trace.partial_attention import partial_attention

_MODULE = "torch.nn.attention.flex_attention"


class _Recorder(Protocol):
    def in_kernel(self) -> AbstractContextManager[None]:
        """While active, recorded calls are those of one kernel, and what they make stays in its registers."""


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: Callable[..., Tensor],
    block_mask: Sequence[Any],
    scale: float,
    kernel_options: dict[str, Any],
    score_mod_other_buffers: tuple[Any, ...] = (),
    mask_mod_other_buffers: tuple[Any, ...] = (),
) -> tuple[Tensor, Tensor, Tensor]:
    """Replaces torch's operator, with its arguments and outputs. Raises RuntimeError if the blocks depend on
    values that a run without data does not have.
    """
    others = (score_mod_other_buffers, mask_mod_other_buffers)
    if not is_whole():
        return _plain(query, key, value, score_mod, block_mask, scale, kernel_options, *others)
    heads = query.shape[:-2].numel()
    computed, masked = _scores(block_mask, heads, query.shape[-2], key.shape[-2], mask_mod_other_buffers)
    mask_mod = block_mask[-1]
    if masked and mask_mod.__name__ != "noop_mask":
        _apply_to_scores(mask_mod, mask_mod_other_buffers, masked, query.device, None)
    changes = getattr(score_mod, "__name__", "") != "_identity"
    if changes:
        query = _applied(score_mod, score_mod_other_buffers, computed, query)
    out = partial_attention(query, key, value, computed)
    statistics = torch.float64 if query.dtype == torch.float64 else torch.float32
    lse, largest = (query.detach().new_empty(query.shape[:-1], dtype=statistics) for _ in range(2))
    if out.device.type == "cpu" and not _is_fake(out):
        # A run with data needs the values for what follows.
        with _disable_current_modes(), torch.no_grad():
            found = _plain(query, key, value, score_mod, block_mask, scale, kernel_options, *others)
            for made, values in zip((out, lse, largest), found, strict=True):
                made.data.copy_(values)  # Writing through `data` is invisible to autograd.
    return out, lse, largest


def _plain(*given: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Attention by products, softmax and copies, as torch computes it without a compiler."""
    from torch._higher_order_ops.flex_attention import math_attention

    found: tuple[Tensor, Tensor, Tensor] = math_attention(*given)
    return found


def _scores(
    block_mask: Sequence[Any], heads: int, rows: int, columns: int, buffers: tuple[Any, ...]
) -> tuple[int, int]:
    """(scores that are computed, scores in blocks that the mask hides in part), over all heads."""
    counts, indices, full_counts, full_indices = block_mask[2:6]
    row_size, column_size, mask_mod = block_mask[-3:]
    if row_size >= rows and column_size >= columns and mask_mod.__name__ == "noop_mask":
        return heads * rows * columns, 0
    with _disable_current_modes():
        if any(_is_fake(t) for t in (counts, indices, full_counts, full_indices) if t is not None):
            partial, full = _blocks_of(
                mask_mod, counts.shape[:2], (rows, columns), block_mask[-3:-1], buffers
            )
        else:
            partial = _dense(counts, indices)
            full = torch.zeros_like(partial) if full_counts is None else _dense(full_counts, full_indices)
        extents = (
            _extents(rows, row_size, partial.shape[-2])[:, None]
            * _extents(columns, column_size, partial.shape[-1])[None]
        )
        in_part, in_full = (int((blocks * extents).sum()) for blocks in (partial, full))
    repeated = heads // counts.shape[:2].numel()
    return repeated * (in_part + in_full), repeated * in_part


def _dense(counts: Tensor, indices: Tensor) -> Tensor:
    """From counts [B, H, R] and indices [B, H, R, C]: a tensor that is 1 where block c is among the first
    counts[r] indices of row r.
    """
    listed = torch.arange(indices.shape[-1]) < counts[..., None]
    made = torch.zeros((*indices.shape[:-1], indices.shape[-1] + 1), dtype=torch.int64)
    made.scatter_(-1, torch.where(listed, indices, indices.shape[-1]).long(), 1)
    return made[..., :-1]


def _extents(length: int, size: int, blocks: int) -> Tensor:
    """The number of a sequence's elements in each of its blocks."""
    return (length - torch.arange(blocks) * size).clamp(0, size)


def _blocks_of(
    mask_mod: Callable[..., Tensor],
    heads: torch.Size,
    lengths: tuple[int, int],
    sizes: Sequence[int],
    buffers: tuple[Any, ...],
) -> tuple[Tensor, Tensor]:
    """(blocks that are kept in part, blocks that are kept whole), by evaluating the mask for every score.

    This works where a model makes its block mask on a device without data, if the mask depends only on
    positions.
    """
    module = sys.modules[_MODULE]
    if any(_is_fake(value) for value in (*_captured(mask_mod), *buffers) if isinstance(value, Tensor)):
        raise RuntimeError("the block mask of flex_attention depends on values, and its tensors are on meta")
    mask = module.create_mask(mask_mod, *heads, *lengths, device="cpu")
    return tuple(  # type: ignore[return-value]
        torch.zeros_like(mask[..., :1, :1]).long() if found is None else found.long()
        for found in module._convert_mask_to_block_mask(
            mask, Q_BLOCK_SIZE=sizes[0], KV_BLOCK_SIZE=sizes[1], separate_full_blocks=True
        )
    )


def _applied(change: Callable[..., Tensor], buffers: tuple[Any, ...], scores: int, query: Tensor) -> Tensor:
    """Records the change of the scores. In a training step, the change also gets a backward pass."""
    learned = [t for t in (*_captured(change), *buffers) if isinstance(t, Tensor) and t.requires_grad]
    if torch.is_grad_enabled() and (query.requires_grad or learned):
        made: Tensor = _Change.apply(query, change, buffers, scores, *learned)  # type: ignore[no-untyped-call]
        return made
    _apply_to_scores(change, buffers, scores, query.device, query.dtype)
    return query


class _Change(torch.autograd.Function):
    """Records what a change of scores computes. The backward pass computes it again, with its derivatives by
    the scores and by the tensors that it learns.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, change: Any, buffers: tuple[Any, ...], scores: int, *learned: Tensor
    ) -> Any:
        ctx.change, ctx.learned = (change, buffers, scores, query.device, query.dtype), learned
        _apply_to_scores(*ctx.change)
        return query.view_as(query)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        change, buffers, scores, device, dtype = ctx.change
        found = _apply_to_scores(change, buffers, scores, device, dtype, ctx.learned)
        return gradients[0], None, None, None, *found


def _apply_to_scores(
    function: Callable[..., Tensor],
    buffers: tuple[Any, ...],
    scores: int,
    device: torch.device,
    dtype: torch.dtype | None,
    learned: Sequence[Tensor] | None = None,
) -> Sequence[Tensor | None]:
    """Records the calls that a function of one score and its position makes for `scores` scores.

    dtype: of the scores; None for a function of the position alone. learned: tensors whose gradients are
    computed and returned too; None in a forward.
    """
    from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex

    with _kernel(), TransformGetItemToIndex(), torch.set_grad_enabled(learned is not None):
        # Expanded vectors take the memory of one element.
        given = [torch.zeros(1, dtype=torch.int64, device=device).expand(scores) for _ in range(4)]
        if dtype is not None:
            score = torch.zeros(1, dtype=dtype, device=device).expand(scores).detach()
            given.insert(0, score.requires_grad_(learned is not None))
        out = torch.vmap(function, (*(0 for _ in given), *(None for _ in buffers)))(*given, *buffers)
        if learned is None or not out.requires_grad:
            return [None] * len(learned or ())
        wanted = [given[0], *learned]
        return torch.autograd.grad(out, wanted, torch.empty_like(out), allow_unused=True)[1:]


def _kernel() -> AbstractContextManager[None]:
    mode: Any = _get_current_dispatch_mode()
    in_kernel = getattr(mode, "in_kernel", None)
    return in_kernel() if in_kernel is not None else nullcontext()


def _captured(function: Callable[..., Any]) -> tuple[Any, ...]:
    """What a function refers to outside itself, what the functions among that refer to, and the parameters of
    the modules among it.
    """
    found: list[Any] = []
    waiting: list[Any] = [function]
    while waiting:
        each = waiting.pop()
        if isinstance(each, tuple | list):
            waiting.extend(each)
        elif isinstance(each, torch.nn.Module):
            found.extend(each.parameters(recurse=False))
        else:
            found.append(each)
            waiting.extend(cell.cell_contents for cell in getattr(each, "__closure__", None) or ())
    return tuple(found)


def _is_fake(tensor: Tensor) -> bool:
    from torch._subclasses.fake_tensor import FakeTensor

    return tensor.is_meta or isinstance(tensor, FakeTensor)


@contextmanager
def any_device() -> Iterator[None]:
    """While active, flex_attention accepts tensors on any device, with and without gradients."""
    module: Any = sys.modules.get(_MODULE)
    if module is None:
        yield
        return
    checked = module._validate_device
    module._validate_device = lambda query, key, value: None
    try:
        yield
    finally:
        module._validate_device = checked
