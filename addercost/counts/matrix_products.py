"""Calls as matrix products, T × K inputs by K × N filters. Arrays of processing elements compute these."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from addercost.arithmetic import Arithmetic
from addercost.counts.call_work import work_of
from addercost.trace.record import OpCall


@dataclass(frozen=True, slots=True)
class MatrixProduct:
    """`repeats` products of the same shape, one for each group, head or batch.

    outputs_each, depth, filters: T pixels or rows, K terms of a sum and N filters of one product. inputs:
    distinct elements that one product reads; these are fewer than T·K where the windows of a convolution
    overlap. operand_bytes: bytes of an element of the narrower operand.
    """

    outputs_each: int
    depth: int
    filters: int
    inputs: int
    repeats: int = 1
    arithmetic: Arithmetic = Arithmetic.MAC
    operand_bytes: float = 4.0

    @property
    def sites(self) -> int:
        return self.outputs_each * self.depth * self.filters * self.repeats


def matrix_products(call: OpCall) -> tuple[tuple[MatrixProduct, ...], int]:
    """The products of a call, and how many of its sites they do not cover (none or all).

    A convolution is the product of its windows (im2col). Calls without such a form are not covered, among
    them transposed and sparse ones.
    """
    work = work_of(call)
    if work is None or not work.mac_sites:
        return (), 0
    found = tuple(_products(call))
    if len(found) != len(work.sites) or sum(product.sites for product in found) != work.mac_sites:
        return (), work.mac_sites
    narrower = _operand_bytes(call)
    placed = (
        replace(
            product,
            arithmetic=site.arithmetic,
            operand_bytes=1 / 8 if site.arithmetic is Arithmetic.XNOR else narrower,
        )
        for product, site in zip(found, work.sites, strict=True)
    )
    return tuple(placed), 0


def _operand_bytes(call: OpCall) -> float:
    """Bytes of an element of the narrower of the two operands. The operands of attention have one format."""
    one, other = _OPERANDS.get(call.name, ("input", "weight"))
    return min(call.tensor(one).item_bits, call.tensor(other).item_bits) / 8


def _products(call: OpCall) -> Iterator[MatrixProduct]:
    name = call.name
    if "conv" in name and not call.args.get("transposed") and {"input", "weight"} <= call.args.keys():
        # x: [B, C, *H], w: [N, C/G, *R], out: [B, N, *P]
        x, w, out = call.shape("input"), call.shape("weight"), call.output.shape
        if len(x) == len(w) == len(out):
            groups = x[1] // w[1] if w[1] else 0
            if groups:
                pixels = out[0] * math.prod(out[2:])
                yield MatrixProduct(pixels, math.prod(w[1:]), w[0] // groups, math.prod(x) // groups, groups)
    elif name in ("aten.mm", "aten.addmm", "aten.bmm", "aten.baddbmm"):
        a, b = _OPERANDS[name]
        (*batch, n, k), (*_, m) = call.shape(a), call.shape(b)
        if call.tensor(a).role in ("parameter", "derived"):
            n, m = m, n
        yield MatrixProduct(n, k, m, n * k, math.prod(batch))
    elif name in (
        "aten.linear",
        "addercost.adder_linear",
        "addercost.binary_linear",
        "addercost.shift_linear",
        "addercost.ternary_linear",
    ):
        x, w = call.shape("input"), call.shape("weight")
        rows = math.prod(x[:-1])
        yield MatrixProduct(rows, w[1], w[0], rows * w[1])
    elif name == "aten._trilinear" and len(call.shape("i1")) == 2 and len(call.shape("i2")) == 3:
        # x: [B, I], w: [N, I, J], z: [B, J]: the rows are all I·J products of x and z.
        rows, filters, depth = call.shape("i1")[0], call.shape("i2")[0], math.prod(call.shape("i2")[1:])
        yield MatrixProduct(rows, depth, filters, rows * depth)
    elif name == "aten.scaled_dot_product_attention":
        # q: [*B, L, E], k: [*B, S, E], v: [*B, S, D]
        (*heads, rows, width), (*_, columns, _), (*_, depth) = (
            call.shape(n) for n in ("query", "key", "value")
        )
        yield MatrixProduct(rows, width, columns, rows * width, math.prod(heads))
        yield MatrixProduct(rows, columns, depth, rows * columns, math.prod(heads))
    elif name == "addercost.selective_scan":
        # At each of L tokens, the state [B, D, N] times c [B, N].
        (sequences, width, tokens), (*_, states) = call.shape("x"), call.shape("rates")
        yield MatrixProduct(width, states, 1, width * states, sequences * tokens)


_OPERANDS = {
    "aten.mm": ("self", "mat2"),
    "aten.addmm": ("mat1", "mat2"),
    "aten.bmm": ("self", "mat2"),
    "aten.baddbmm": ("batch1", "batch2"),
    "aten.scaled_dot_product_attention": ("query", "key"),
    "aten._trilinear": ("i1", "i2"),
    "addercost.selective_scan": ("x", "c"),
}
