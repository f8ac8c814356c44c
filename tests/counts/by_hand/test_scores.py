"""Attention, its gradients, and the share of it that masks and blocks keep, counted by hand."""

from __future__ import annotations

import pytest

from addercost.arithmetic import OpCounts
from addercost.counts.rules.attention import block_sites, kept_sites
from addercost.counts.work import OperatorWork, Sites
from addercost.trace.record import KEPT_SCORES, SCORES
from tests.counts.by_hand.calls import call, scaled, t, work

SIDES = {"query": t(2, 3, 5, 7), "key": t(2, 3, 11, 7), "value": t(2, 3, 11, 13)}
SCORES_OF_ALL = 2 * 3 * 5 * 11


def test_attention_in_both_layouts() -> None:
    """30 rows of 11 scores: sums of 7 products, scaled, a softmax, and 13 sums of 11 products."""
    n, rows = SCORES_OF_ALL, 30
    softmax = OpCounts.of("fp32", compare=n - rows, add=2 * n - rows, transcendental=n, divide=n)
    expected = OperatorWork((Sites(n * 7, n), Sites(n * 13, rows * 13)), softmax + scaled(n))
    out = t(2, 3, 5, 13)
    assert work("aten.scaled_dot_product_attention", out, **SIDES) == expected
    last = {"query": t(2, 5, 3, 7), "key": t(2, 11, 3, 7), "value": t(2, 11, 3, 13)}
    assert work("aten._flash_attention_forward", t(2, 5, 3, 13), **last) == expected
    masked = work("aten.scaled_dot_product_attention", out, **SIDES, attn_mask=t(5, 11))
    assert masked.other == expected.other + OpCounts.of("fp32", add=n)
    assert work("aten.scaled_dot_product_attention", out, **SIDES, is_causal=True) == masked
    dropped = work("aten._flash_attention_forward", t(2, 5, 3, 13), **last, dropout_p=0.5).other
    blocks = -(-n // 4)
    uniform = OpCounts.of("uint32", mul=20 * blocks, logic=40 * blocks, add=18 * blocks) + scaled(n)
    assert dropped == expected.other + uniform + OpCounts.of("fp32", compare=n, mul=2 * n)


def test_attention_to_no_key() -> None:
    none = {"query": t(2, 3, 5, 7), "key": t(2, 3, 0, 7), "value": t(2, 3, 0, 13)}
    found = work("aten.scaled_dot_product_attention", t(2, 3, 5, 13), **none)
    assert not found.mac_sites and not found.other


def test_gradients_of_attention() -> None:
    """Five products of matrices. A score is scaled, taken off the logarithm of its row's sum, and exponentiated;
    Σ g·out (13 products of a row) comes off ∂p; ∂s is two products."""
    n, rows = SCORES_OF_ALL, 30
    sizes = ((7, n), (13, 2 * 3 * 11 * 13), (13, n), (7, 2 * 3 * 5 * 7), (7, 2 * 3 * 11 * 7))
    plain = OpCounts.of("fp32", mul=3 * n + rows * 13, add=2 * n + rows * 12, transcendental=n)
    given = {**SIDES, "out": t(2, 3, 5, 13)}
    found = work("addercost.attention_backward", t(2, 3, 5, 7), **given)
    assert found == OperatorWork(tuple(Sites(n * width, outputs) for width, outputs in sizes), plain)
    by_gradient = {**SIDES, "grad_out": t(2, 3, 5, 13)}
    assert work("aten._scaled_dot_product_flash_attention_backward", t(2, 3, 5, 7), **by_gradient) == found
    masked = work("addercost.attention_backward", t(2, 3, 5, 7), **given, attn_mask=t(5, 11))
    assert masked.other == plain + OpCounts.of("fp32", add=n)
    # The gradient of a mask of 55 numbers is the sum of six matrices.
    learnt = {"attn_bias": t(5, 11), "mask_gradient": True}
    found = work("addercost.attention_backward", t(2, 3, 5, 7), **given, **learnt)
    assert found.other == plain + OpCounts.of("fp32", add=n + 5 * 55)
    # Twice two products undo the scale of dropout, and its mask is drawn again.
    dropped = work("addercost.attention_backward", t(2, 3, 5, 7), **given, dropout_p=0.5).other
    blocks = -(-n // 4)
    uniform = OpCounts.of("uint32", mul=20 * blocks, logic=40 * blocks, add=18 * blocks) + scaled(n)
    assert dropped == plain + uniform + OpCounts.of("fp32", compare=n, mul=4 * n)


PARTIAL = {"query": t(1, 2, 3, 5), "key": t(1, 1, 7, 5), "value": t(1, 1, 7, 11)}


@pytest.mark.parametrize("op", ["addercost.partial_attention", "torch_attn._varlen_attn"])
@pytest.mark.parametrize(("n", "rows"), [(20, 6), (4, 4)])
def test_attention_to_some_keys(op: str, n: int, rows: int) -> None:
    """Six rows (heads and queries) have n scores among them; of four scores two rows have none at least."""
    softmax = OpCounts.of("fp32", compare=n - rows, add=n + n - rows, transcendental=n, divide=n)
    found = work(op, t(1, 2, 3, 11), **PARTIAL, **{SCORES: n})
    assert found == OperatorWork((Sites(n * 5, n), Sites(n * 11, rows * 11)), softmax + scaled(n))


@pytest.mark.parametrize("op", ["addercost.partial_attention_backward", "torch_attn._varlen_attn_backward"])
@pytest.mark.parametrize(("n", "rows"), [(20, 6), (4, 4)])
def test_gradients_of_attention_to_some_keys(op: str, n: int, rows: int) -> None:
    found = work(op, t(1, 2, 3, 5), **PARTIAL, out=t(1, 2, 3, 11), **{SCORES: n})
    sizes = ((5, n), (11, 77), (11, n), (5, 30), (5, 35))
    assert found == OperatorWork(
        tuple(Sites(n * width, outputs) for width, outputs in sizes),
        OpCounts.of("fp32", mul=3 * n + 66, add=2 * n + 66 - rows, transcendental=n),
    )


def test_the_share_of_scores_that_a_mask_keeps() -> None:
    """Of 5 queries and 11 keys a causal mask keeps 1 + 2 + … + 5; of 11 queries and 5 keys, 5 for each later one."""
    op = "aten.scaled_dot_product_attention"
    wide = call(op, t(2, 3, 5, 13), **SIDES, is_causal=True)
    assert kept_sites(wide) == (6 * 20 * 55, 6 * 20 * 15)
    high = {"query": t(2, 3, 11, 7), "key": t(2, 3, 5, 7), "value": t(2, 3, 5, 13)}
    assert kept_sites(call(op, t(2, 3, 11, 13), **high, is_causal=True)) == (
        6 * 20 * 55,
        6 * 20 * (15 + 6 * 5),
    )
    last = {"query": t(2, 5, 3, 7), "key": t(2, 11, 3, 7), "value": t(2, 11, 3, 13)}
    flash = call("aten._flash_attention_forward", t(2, 5, 3, 13), **last, is_causal=True)
    assert kept_sites(flash) == (6 * 20 * 55, 6 * 20 * 15)
    assert kept_sites(call(op, t(2, 3, 5, 13), **SIDES)) is None
    known = {KEPT_SCORES: 40}
    assert kept_sites(call(op, t(2, 3, 5, 13), **SIDES, **known)) == (20 * 330, 20 * 40)
    assert kept_sites(call(op, t(2, 3, 5, 13), **SIDES, **{KEPT_SCORES: 330})) is None
    lengths = {SCORES: 50, KEPT_SCORES: 40}
    assert kept_sites(call("torch_attn._varlen_attn", t(1, 2, 3, 11), **PARTIAL, **lengths)) == (800, 640)
    assert kept_sites(call("torch_attn._varlen_attn", t(1, 2, 3, 11), **PARTIAL, is_causal=True)) is None
    assert kept_sites(call("aten.mm", t(2, 3), self=t(2, 5), mat2=t(5, 3))) is None
    assert kept_sites(call(op, t(7), query=t(7), key=t(11, 7), value=t(11, 13), is_causal=True)) is None
    assert (
        kept_sites(call(op, t(2, 3, 5, 13), query=SIDES["query"], key=SIDES["key"], is_causal=True)) is None
    )
    empty = {"query": t(2, 3, 0, 7), "key": t(2, 3, 11, 7), "value": t(2, 3, 11, 13)}
    assert kept_sites(call(op, t(2, 3, 0, 13), **empty, is_causal=True)) is None


def test_the_blocks_of_partial_attention() -> None:
    made = call("addercost.partial_attention", t(1, 2, 3, 11), **PARTIAL, **{SCORES: 20})
    assert block_sites(made) == (16 * 6 * 7, 16 * 20)
    assert block_sites(call("addercost.partial_attention", t(1, 2, 3, 11), **PARTIAL)) is None
    assert block_sites(call("torch_attn._varlen_attn", t(1, 2, 3, 11), **PARTIAL, **{SCORES: 20})) is None
