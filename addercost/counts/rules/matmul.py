"""Matrix products: each output is a sum of k products."""

from __future__ import annotations

from dataclasses import replace

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.work import OperatorWork, Sites, accumulator_of
from addercost.trace.record import PRODUCTS, STORED_OUTPUTS, OpCall, TensorSpec


def of_stored(sites: int, *operands: TensorSpec) -> int:
    """The sites of a product with sparse operands. sites: how many there would be if all operands
    were dense.
    """
    for spec in operands:
        if spec.stored is not None:
            sites = sites * spec.stored[0] // spec.numel if spec.numel else 0
    return sites


def product(
    a: TensorSpec, b: TensorSpec, sites: int, outputs: int, biased: int = 0, other: OpCounts | None = None
) -> OperatorWork:
    """`sites` products of elements of a and b, summed into `outputs` sums.

    sites: how many there would be if both were dense. Of a sparse operand only the stored values are counted.
    """
    sites = of_stored(sites, a, b)
    outputs = min(outputs, sites)
    weighted = "parameter" in (a.role, b.role) or "derived" in (a.role, b.role)
    activations = b if a.role in ("parameter", "derived") else a
    site = Sites(
        count=sites,
        outputs=outputs if sites else 0,
        biased=biased,
        inputs=activations.numel,
        number_format=a.number_format,
        accumulator_format=accumulator_of(a.number_format),
        weighted=weighted,
    )
    return OperatorWork((site,), other or OpCounts())


def _product_of_sparse(
    call: OpCall, a: TensorSpec, b: TensorSpec, biased: int = 0, other: OpCounts | None = None
) -> OperatorWork | None:
    """Σ over k of a's values in column k × b's values in row k; None where the tracer does not know both."""
    sites, outputs = call.args.get(PRODUCTS), call.args.get(STORED_OUTPUTS)
    if not isinstance(sites, int) or not isinstance(outputs, int):
        return None
    return product(replace(a, stored=None), replace(b, stored=None), sites, outputs, biased, other)


@rule("aten._sparse_sparse_matmul")
def sparse_mm(call: OpCall) -> OperatorWork | None:
    """a: [n, k], b: [k, m], both sparse: for each of k, the number of values in a's column times that in b's
    row.
    """
    return _product_of_sparse(call, call.tensor("self"), call.tensor("other"))


@rule("aten.mm")
def mm(call: OpCall) -> OperatorWork:
    """a: [n, k], b: [k, m]: n·m sums of k products; for the gradient of a sparse tensor only the sums that it
    stores. Where both are sparse: for each of k, the number of values in a's column times that in b's row.
    """
    a, b = call.tensor("self"), call.tensor("mat2")
    sparse = _product_of_sparse(call, a, b)
    if sparse is not None:
        return sparse
    (n, k), (_, m) = a.shape, b.shape
    outputs = call.args.get(STORED_OUTPUTS, n * m)
    assert isinstance(outputs, int)
    return product(a, b, outputs * k, outputs)


@rule("aten.bmm")
def bmm(call: OpCall) -> OperatorWork:
    """a: [B, n, k], b: [B, k, m]: B·n·m sums of k products."""
    a, b = call.tensor("self"), call.tensor("mat2")
    (batch, n, k), (_, _, m) = a.shape, b.shape
    return product(a, b, batch * n * k * m, batch * n * m)


@rule("aten.addmm", "aten.addmm_", "aten._addmm_activation", "aten._sparse_addmm")
def addmm(call: OpCall) -> OperatorWork | None:
    """β·c + α·(a: [n, k] · b: [k, m]). If all three are sparse, there is an addition where both c and the
    product have a value.
    """
    a, b = call.tensor("mat1"), call.tensor("mat2")
    if PRODUCTS in call.args:
        return _added_sparse(call, a, b)
    (n, k), (_, m) = a.shape, b.shape
    return _added(call, a, b, n * k * m, n * m)


@rule("aten.sparse_sampled_addmm")
def sampled_addmm(call: OpCall) -> OperatorWork:
    """β·c + α·(a: [n, k] · b: [k, m]) at the places where c stores a value: a sum of k products for each."""
    c, a, b = call.tensor("self"), call.tensor("mat1"), call.tensor("mat2")
    outputs = c.stored[0] if c.stored is not None else c.numel
    return _added(call, a, b, outputs * a.shape[-1], outputs)


@rule("aten._sparse_semi_structured_mm", "aten._sparse_semi_structured_addmm", "aten._cslt_sparse_mm")
def semi_structured(call: OpCall) -> OperatorWork:
    """a: [n, k], which stores two of every four values, b: [k, m]: sums of k/2 products."""
    b = next(call.tensor(name) for name in ("mat2", "dense_B") if name in call.args)
    a = next(call.tensor(name) for name in ("mat1", "compressed_A") if name in call.args)
    out = call.output
    biased = any(call.optional_tensor(name) for name in ("input", "bias"))
    return product(a, b, out.numel * b.shape[0] // 2, out.numel, out.numel if biased else 0)


@rule("aten.baddbmm", "aten.baddbmm_")
def baddbmm(call: OpCall) -> OperatorWork:
    """β·c + α·(a: [B, n, k] · b: [B, k, m])."""
    a, b = call.tensor("batch1"), call.tensor("batch2")
    (batch, n, k), (_, _, m) = a.shape, b.shape
    return _added(call, a, b, batch * n * k * m, batch * n * m)


@rule("aten.addbmm", "aten.addbmm_")
def addbmm(call: OpCall) -> OperatorWork:
    """β·c + α·Σ_B a: [B, n, k] · b: [B, k, m]: n·m sums of B·k products."""
    a, b = call.tensor("batch1"), call.tensor("batch2")
    (batch, n, k), (_, _, m) = a.shape, b.shape
    return _added(call, a, b, batch * n * k * m, n * m)


@rule("aten.addmv", "aten.addmv_")
def addmv(call: OpCall) -> OperatorWork:
    """β·c + α·(a: [n, k] · v: [k])."""
    a, v = call.tensor("mat"), call.tensor("vec")
    n, k = a.shape
    return _added(call, a, v, n * k, n)


@rule("aten.mv")
def mv(call: OpCall) -> OperatorWork:
    """a: [n, k] · v: [k]."""
    a, v = call.tensor("self"), call.tensor("vec")
    n, k = a.shape
    return product(a, v, n * k, n)


@rule("aten.dot", "aten.vdot")
def dot(call: OpCall) -> OperatorWork:
    """a: [k], b: [k]: one sum of k products."""
    a = call.tensor("self")
    b = call.tensor("tensor" if "tensor" in call.args else "other")
    return product(a, b, a.numel, 1)


@rule("aten.addr", "aten.addr_")
def addr(call: OpCall) -> OperatorWork:
    """β·c + α·(a: [n] ⊗ b: [m]): n·m products, each of which is a sum of one term."""
    a, b = call.tensor("vec1"), call.tensor("vec2")
    return _added(call, a, b, a.numel * b.numel, a.numel * b.numel)


@rule("aten.linear")
def linear(call: OpCall) -> OperatorWork:
    """x: […, k], w: [m, k], out: […, m]: sums of k products, for traces that have it whole."""
    x, w, out = call.tensor("input"), call.tensor("weight"), call.output
    biased = out.numel if call.optional_tensor("bias") else 0
    return product(x, w, out.numel * w.shape[-1], out.numel, biased)


@rule("aten.matmul")
def matmul(call: OpCall) -> OperatorWork | None:
    """a: […, n, k], b: […, k, m], out: […, n, m], for traces that have it whole. A vector has no n or m.

    Nested matrices, whose rows differ in length, are recorded as vectors of all their elements. An element of
    such an a takes part in m products. For two nested operands the lengths of the sums are unknown.
    """
    a, b, out = call.tensor("self"), call.tensor("other"), call.output
    if len(a.shape) == 1 and len(b.shape) == 2:
        return product(a, b, a.numel * b.shape[-1], out.numel)
    if len(a.shape) == len(b.shape) == 1 and out.shape:
        return None
    return product(a, b, out.numel * a.shape[-1], out.numel)


def _added(call: OpCall, a: TensorSpec, b: TensorSpec, sites: int, outputs: int) -> OperatorWork:
    beta, alpha = call.args.get("beta", 1), call.args.get("alpha", 1)
    scalings = (beta not in (0, 1)) + (alpha != 1)
    scaled = OpCounts.of(accumulator_of(a.number_format), mul=scalings * outputs)
    return product(a, b, sites, outputs, 0 if beta == 0 else outputs, scaled)


def _added_sparse(call: OpCall, a: TensorSpec, b: TensorSpec) -> OperatorWork | None:
    c, beta, outputs = call.tensor("self"), call.args.get("beta", 1), call.args[STORED_OUTPUTS]
    assert isinstance(outputs, int)
    of_c = 0 if beta == 0 else c.n_stored
    scaled = of_c * (beta != 1) + outputs * (call.args.get("alpha", 1) != 1)
    both = min(max(of_c + outputs - call.output.n_stored, 0), of_c)
    return _product_of_sparse(call, a, b, both, OpCounts.of(accumulator_of(a.number_format), mul=scaled))
