"""Attention that computes some of its scores: flex_attention, sequences of several lengths, masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.nn.attention.varlen import varlen_attn

from addercost.api import trace_model
from addercost.counts.model import count
from addercost.trace.flex_attention import _scores
from tests.counts.oracle import Function

B, H, L, E, D, BLOCK = 2, 3, 10, 8, 6, 4


def window(b: Any, h: Any, q: Any, k: Any) -> Any:
    return (q >= k) & (q - k < 3)


def by_head(b: Any, h: Any, q: Any, k: Any) -> Any:
    return q >= k + 4 * h


def qkv(rows: int = L, columns: int = L, heads: int = H) -> tuple[Tensor, ...]:
    q, k, v = torch.zeros(B, H, rows, E), torch.zeros(B, heads, columns, E), torch.zeros(B, heads, columns, D)
    return q, k, v


def flex(device: str | None = "cpu", mask: Any = None, heads: int | None = None, **options: Any) -> nn.Module:
    def forward(q: Tensor, k: Tensor, v: Tensor) -> Any:
        blocks = None
        if mask is not None:
            where = device or q.device
            blocks = create_block_mask(mask, None, heads, q.shape[2], k.shape[2], where, BLOCK_SIZE=BLOCK)
        return flex_attention(q, k, v, block_mask=blocks, **options)

    return Function(forward)


def in_blocks(mask: Callable[..., bool], rows: int, columns: int, heads: int = H) -> int:
    """Scores in the blocks that have one which the mask keeps, of one image, by looking at each."""
    found = 0
    for h in range(heads):
        for r in range(0, rows, BLOCK):
            for c in range(0, columns, BLOCK):
                inside = [
                    (i, j) for i in range(r, min(r + BLOCK, rows)) for j in range(c, min(c + BLOCK, columns))
                ]
                found += len(inside) * any(mask(0, h, i, j) for i, j in inside)
    return found


def flex_calls(made: Any) -> list[Any]:
    return [call for call in made.calls if call.name.startswith("addercost.partial_attention")]


@pytest.mark.parametrize("heads", [H, 1])
def test_without_a_mask_every_score_is_computed(heads: int) -> None:
    made = trace_model(flex(enable_gqa=heads != H), *qkv(heads=heads))
    counts = count(made)
    assert made.tracer == "meta" and counts.complete
    assert counts.mac_sites == B * H * L * L * (E + D)
    assert not counts.notes


@pytest.mark.parametrize("device", ["cpu", None], ids=["mask with values", "mask without data"])
@pytest.mark.parametrize(
    ("mask", "rows", "columns", "heads"),
    [(window, L, L, None), (window, 9, 13, None), (by_head, L, L, H)],
    ids=["window", "window, oblong", "each head its own"],
)
def test_blocks_that_a_mask_hides_are_left_out(
    device: str | None, mask: Any, rows: int, columns: int, heads: int | None
) -> None:
    counts = count(trace_model(flex(device, mask, heads), *qkv(rows, columns)))
    scores = B * in_blocks(mask, rows, columns)
    assert scores < B * H * rows * columns
    assert counts.mac_sites == scores * (E + D) and counts.complete
    (note,) = [note for note in counts.notes if "flex_attention" in note]
    assert f"{scores * (E + D):,} of {B * H * rows * columns * (E + D):,} MAC sites" in note


def test_a_mask_is_asked_in_the_blocks_that_it_keeps_in_part() -> None:
    """Three blocks a side: three below the diagonal are kept whole, three on it in part."""
    causal = create_block_mask(lambda b, h, q, k: q >= k, None, None, 12, 12, "cpu", BLOCK_SIZE=4)
    assert _scores(causal.as_tuple(), 5, 12, 12, ()) == (5 * 6 * 16, 5 * 3 * 16)


def test_a_mask_that_depends_on_values_is_computed_with_them() -> None:
    def forward(q: Tensor, document: Tensor) -> Any:
        mask = lambda b, h, i, j: document[i] == document[j]  # noqa: E731
        blocks = create_block_mask(mask, None, None, L, L, q.device, BLOCK_SIZE=BLOCK)
        return flex_attention(q, q, q, block_mask=blocks)

    document = torch.tensor([0] * 4 + [1] * 6)
    made = trace_model(Function(forward), torch.zeros(1, 1, L, E), document)
    assert made.tracer == "real"
    assert count(made).mac_sites == (4 * 4 + 6 * 6) * 2 * E


def test_a_change_of_scores_is_arithmetic_without_memory() -> None:
    plain = count(trace_model(flex(), *qkv()))
    changed = count(trace_model(flex(score_mod=lambda s, b, h, i, j: torch.tanh(s) * 2.0), *qkv()))
    scores = B * H * L * L
    more = {c: changed.total.by_class()[c] - plain.total.by_class()[c] for c in ("mul", "transcendental")}
    assert more == {"mul": scores, "transcendental": scores}
    # Two vectors of one element each are written, the position's and the score's.
    written = [sum(layer.bytes_written for layer in counts.layers) for counts in (plain, changed)]
    assert written[1] - written[0] < 100


def test_gradients_compute_the_blocks_again() -> None:
    made = trace_model(flex(None, window), *qkv(), backward=True)
    scores = B * in_blocks(window, L, L)
    assert [call.op.split(".")[1] for call in flex_calls(made)] == [
        "partial_attention",
        "partial_attention_backward",
    ]
    # As in scaled_dot_product_attention: E + D forward, 3 E + 2 D backward.
    assert count(made).mac_sites == scores * (4 * E + 3 * D)


def test_what_a_change_of_scores_learns_has_its_gradient() -> None:
    class Biased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(H))

        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
            return flex_attention(q, k, v, score_mod=lambda s, b, h, i, j: s + self.bias[h])

    made = trace_model(Biased(), *qkv(), backward=True)
    counts = count(made)
    assert counts.complete
    (sums,) = [call for call in made.calls if call.name == "flex_lib.zeros_and_scatter"]
    assert sums.tensor("vals").numel == B * H * L * L


def test_a_real_run_goes_on_with_torchs_values() -> None:
    torch.manual_seed(0)
    q = torch.randn(1, 2, 6, 4)
    found = []

    def forward(q: Tensor) -> Any:
        out = flex_attention(q, q, q, score_mod=lambda s, b, h, i, j: s + (i - j))
        if out.sum() != 0:
            found.append(out)
        return out

    assert trace_model(Function(forward), q).tracer == "real"
    bias = torch.arange(6)[:, None] - torch.arange(6)
    expected = torch.softmax(q @ q.mT * 0.5 + bias, -1) @ q
    torch.testing.assert_close(found[-1], expected)


def test_flex_attention_taken_apart() -> None:
    made = trace_model(flex(), *qkv(), fuse_attention=False)
    assert not flex_calls(made)
    assert count(made).mac_sites == B * H * L * L * (E + D)


ENDS = torch.tensor([0, 3, 8], dtype=torch.int32)
OTHER_ENDS = torch.tensor([0, 6, 10], dtype=torch.int32)
"""Sequences of 3 and 5 queries, and of 6 and 4 keys."""


def attend(window: tuple[int, int] = (-1, -1), **options: Any) -> nn.Module:
    def forward(q: Tensor, k: Tensor, v: Tensor, cu: Tensor, other: Tensor) -> Any:
        return varlen_attn(q, k, v, cu, other, 5, 6, window_size=window, **options)

    return Function(forward)


def packed(other: Tensor = OTHER_ENDS) -> tuple[Tensor, ...]:
    half = torch.float16
    keys = int(other[-1])
    return *(torch.zeros(n, 2, 16, dtype=half) for n in (8, keys, keys)), ENDS, other


def test_lengths_that_have_values_are_counted() -> None:
    counts = count(trace_model(attend(), *packed()))
    assert counts.complete and counts.mac_sites == 2 * 2 * 16 * (3 * 6 + 5 * 4)
    assert set(counts.total.by_format()) == {"fp16"}
    both = count(trace_model(attend(), *packed(), backward=True))
    assert both.mac_sites == (2 + 5) * 2 * 16 * (3 * 6 + 5 * 4)


@pytest.mark.parametrize("window", [(-1, 0), (2, 0), (1, 1)], ids=str)
def test_a_window_is_counted_whole_with_its_share_beside(window: tuple[int, int]) -> None:
    """Key j is seen by query i from left to right of the diagonal that ends in the last query and key."""
    left, right = window
    kept = 0
    for queries, keys in ((3, 6), (5, 4)):
        for i in range(queries):
            for j in range(keys):
                offset = j - (i + keys - queries)
                kept += (left < 0 or offset >= -left) and offset <= right
    counts = count(trace_model(attend(window), *packed()))
    whole = 2 * 2 * 16 * (3 * 6 + 5 * 4)
    assert counts.mac_sites == whole
    (note,) = counts.notes
    assert f"whole, {whole:,} MAC sites; its masks keep {2 * 2 * 16 * kept:,} of them" in note


def test_lengths_without_values_make_a_lower_bound() -> None:
    *tensors, _, _ = packed()
    unknown = torch.empty(3, dtype=torch.int32, device="meta")
    counts = count(trace_model(attend(), *tensors, unknown, unknown))
    assert not counts.complete and counts.mac_sites == 0


@pytest.mark.parametrize("numbers", [False, True], ids=["truth values", "numbers"])
def test_the_share_of_a_mask_that_has_values_stands_beside_the_whole(numbers: bool) -> None:
    def forward(q: Tensor) -> Any:
        i = torch.arange(L)
        mask = (i[:, None] >= i) & (i[:, None] - i < 3)
        if numbers:
            return F.scaled_dot_product_attention(q, q, q, torch.zeros(L, L).masked_fill(~mask, -torch.inf))
        return F.scaled_dot_product_attention(q, q, q, mask)

    counts = count(trace_model(Function(forward), torch.zeros(B, H, L, E)))
    kept = sum(1 for i in range(L) for j in range(L) if 0 <= i - j < 3)
    each = B * H * 2 * E
    assert counts.mac_sites == each * L * L
    (note,) = counts.notes
    assert f"whole, {each * L * L:,} MAC sites; its masks keep {each * kept:,} of them" in note
