"""Attention as one operator: its format, its bytes, its gradients, and the view that takes it apart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from addercost.api import trace_model
from addercost.counts.call_work import is_counted
from addercost.counts.model import count
from addercost.trace.attention import whole_attention
from addercost.trace.jit import trace_with_fvcore
from addercost.trace.record import Trace
from addercost.trace.reuse.tracer import BlockCache, trace_blocks
from addercost.trace.tracer import trace
from tests.counts.oracle import Function

WHOLE = "aten.scaled_dot_product_attention"
B, H, L, S, E, D = 2, 4, 5, 7, 8, 6
SITES = B * H * L * S * (E + D)


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def attend(**options: Any) -> nn.Module:
    return Function(lambda q, k, v, *mask: F.scaled_dot_product_attention(q, k, v, *mask, **options))


def qkv(dtype: torch.dtype = torch.float32, heads: int = H) -> tuple[Tensor, ...]:
    return meta(B, H, L, E, dtype=dtype), meta(B, heads, S, E, dtype=dtype), meta(B, heads, S, D, dtype=dtype)


def names(made: Trace) -> list[str]:
    return [call.name for call in made.calls]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("causal", [False, True], ids=["whole", "causal"])
def test_it_is_counted_in_its_own_format(dtype: torch.dtype, causal: bool) -> None:
    made = trace_model(attend(is_causal=causal), *qkv(dtype))
    counts = count(made)
    assert names(made) == [WHOLE]
    assert counts.mac_sites == SITES and counts.complete
    expected = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float64: "fp64"}[dtype]
    assert set(counts.total.by_format()) == {expected}


def test_a_layer_of_bf16_has_no_other_format() -> None:
    """MultiheadAttention calls the same function unless it returns its weights."""
    layer = nn.TransformerEncoderLayer(E, 2, 16, batch_first=True, dtype=torch.bfloat16)
    counts = count(trace_model(layer, meta(B, L, E, dtype=torch.bfloat16)))
    assert set(counts.total.by_format()) == {"bf16"}


@pytest.mark.parametrize("heads", [H, 2, 1])
def test_a_fused_kernel_reads_every_operand_once(heads: int) -> None:
    made = trace_model(attend(enable_gqa=heads != H), *qkv(torch.bfloat16, heads))
    (layer,) = count(made).layers
    assert layer.mac_sites == SITES
    q, k, v, out = B * H * L * E, B * heads * S * E, B * heads * S * D, B * H * L * D
    assert (layer.bytes_read, layer.bytes_written) == (2 * (q + k + v), 2 * out)


def test_one_query_on_a_thousand_keys() -> None:
    """8 heads of 64: q and the output have 512 elements, k and v 524,288."""
    one, many = meta(1, 8, 1, 64, dtype=torch.bfloat16), meta(1, 8, 1024, 64, dtype=torch.bfloat16)
    (layer,) = count(trace_model(attend(), one, many, many)).layers
    assert layer.bytes_read + layer.bytes_written == 2 * (2 * 512 + 2 * 524_288) == 2_099_200


def test_a_mask_adds_one_addition_a_score_and_its_bytes() -> None:
    plain = count(trace_model(attend(), *qkv()))
    mask = meta(1, 1, L, S, dtype=torch.bool)
    masked = count(trace_model(attend(), *qkv(), mask))
    assert masked.total.total - plain.total.total == B * H * L * S
    assert masked.layers[0].bytes_read - plain.layers[0].bytes_read == L * S


@pytest.mark.parametrize(("rows", "columns"), [(5, 7), (7, 5), (6, 6), (1, 9)])
def test_the_causal_share_stands_beside_the_whole(rows: int, columns: int) -> None:
    q, k = meta(B, H, rows, E), meta(B, H, columns, E)
    counts = count(trace_model(attend(is_causal=True), q, k, k))
    kept = sum(1 for i in range(rows) for j in range(columns) if j <= i)
    each = B * H * 2 * E
    assert counts.mac_sites == each * rows * columns
    (note,) = counts.notes
    assert f"{each * kept:,} of them" in note and f"whole, {each * rows * columns:,} MAC sites" in note


def test_without_a_causal_mask_no_share_is_stated() -> None:
    assert not count(trace_model(attend(), *qkv())).notes


def test_taken_apart_it_has_the_same_sites() -> None:
    made = trace_model(attend(), *qkv(), fuse_attention=False)
    assert names(made).count("aten.bmm") == 2 and WHOLE not in names(made)
    assert count(made).mac_sites == SITES


@pytest.mark.parametrize("tracer", ["fake", "real"])
def test_it_is_whole_where_the_forward_needs_values(tracer: str) -> None:
    def forward(q: Tensor, k: Tensor) -> Tensor:
        if tracer == "real" and q.sum() > 0:
            q = q + 1
        elif tracer == "fake":
            torch.empty(2).to(q.device)
            assert q.device.type == "cpu", "on meta: Cannot copy out of meta tensor; no data!"
        return F.scaled_dot_product_attention(q, k, k)

    made = trace_model(Function(forward), torch.ones(1, 2, 3, 4), torch.ones(1, 2, 3, 4))
    assert names(made).count(WHOLE) == 1


def test_both_tracers_see_the_same_operator() -> None:
    tensors = tuple(torch.zeros(t.shape) for t in qkv())
    jit = count(trace_with_fvcore(attend(is_causal=True), *tensors))
    assert jit.total == count(trace_model(attend(is_causal=True), *tensors)).total


class Blocks(nn.Module):
    """Equal attention blocks, with grouped queries."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block() for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks(x)
        return out


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.kv = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        q = self.q(x).unflatten(-1, (4, 4)).transpose(1, 2)
        k, v = self.kv(x).unflatten(-1, (4, 4)).transpose(1, 2).chunk(2, 1)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return x + out.transpose(1, 2).flatten(2)


def test_reused_blocks_give_the_whole_trace() -> None:
    x = meta(1, 6, 16)
    whole = trace(Blocks(), x, is_counted=is_counted)
    (blocks,) = trace_blocks(Blocks(), [((x,), {})], cache=BlockCache(is_counted))
    assert blocks.trace().calls == whole.calls
    assert names(whole).count(WHOLE) == 3


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"dropout_p": 0.1}], ids=str)
def test_its_gradients_are_one_call_that_computes_the_scores_again(options: dict[str, Any]) -> None:
    made = trace_model(attend(**options), *qkv(), backward=True)
    assert names(made).count(WHOLE) == 1 and names(made).count("addercost.attention_backward") == 1
    # Forward q·kᵀ (E) and p·v (D); backward q·kᵀ, ∂q and ∂k (E each), ∂p and ∂v (D each).
    assert count(made).mac_sites == B * H * L * S * (E + D + 3 * E + 2 * D)


def test_dropout_is_counted_in_training() -> None:
    scores = B * H * L * S
    plain = count(trace_model(attend(), *qkv(), backward=True)).total.by_class()
    dropped = count(trace_model(attend(dropout_p=0.1), *qkv(), backward=True)).total.by_class()
    # In each direction a comparison a score, and Philox's numbers: 64 logic operations a block of four.
    blocks = -(-scores // 4)
    assert dropped["compare"] - plain["compare"] == 2 * scores
    assert dropped["logic"] == 2 * 40 * blocks


@pytest.mark.parametrize("kind", ["plain", "grouped", "causal", "mask", "truth values"])
def test_gradients_in_a_real_run_are_torchs(kind: str) -> None:
    """The formulas that serve where a training step needs values."""
    torch.manual_seed(0)
    options = {"grouped": {"enable_gqa": True}, "causal": {"is_causal": True}}.get(kind, {})
    heads = 2 if kind == "grouped" else 4
    q, k, v = (torch.randn(2, h, n, 3, dtype=torch.float64) for h, n in ((4, 5), (heads, 6), (heads, 6)))
    mask = {"mask": torch.randn(5, 6, dtype=torch.float64), "truth values": torch.randn(5, 6) > -1}.get(kind)
    leaves = [q, k, v] if kind != "mask" else [q, k, v, mask]
    gradients = []
    for whole in (False, True):
        for leaf in leaves:
            assert leaf is not None
            leaf.requires_grad_()
        with whole_attention() if whole else torch.enable_grad():
            out = F.scaled_dot_product_attention(q, k, v, mask, **options)
            gradients.append(torch.autograd.grad(out.square().sum(), [t for t in leaves if t is not None]))
    for ours, torchs in zip(gradients[1], gradients[0], strict=True):
        torch.testing.assert_close(ours, torchs)


def test_other_threads_compute_theirs_as_always() -> None:
    q = torch.randn(1, 2, 3, 4)
    expected = F.scaled_dot_product_attention(q, q, q)
    found: list[Tensor] = []
    with whole_attention():
        run: Callable[[], None] = lambda: found.append(F.scaled_dot_product_attention(q, q, q))  # noqa: E731
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    torch.testing.assert_close(found[0], expected)


def test_attention_that_is_written_out_stays_as_it_is() -> None:
    def forward(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.softmax(q @ k.mT, -1) @ v

    made = trace_model(Function(forward), *qkv())
    assert names(made).count("aten.bmm") == 2 and "aten._softmax" in names(made)


def test_what_torch_refuses_is_refused() -> None:
    from addercost.errors import TraceError

    with pytest.raises(TraceError, match=r"attn_mask"):
        trace_model(attend(is_causal=True), *qkv(), meta(L, S))
