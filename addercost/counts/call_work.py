"""The work of one recorded call: by its rule, in the arithmetic it is tagged with, in real numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from addercost.arithmetic import Arithmetic
from addercost.counts import rules as _rules  # noqa: F401  (registers every rule)
from addercost.counts.arithmetics import ARITHMETIC_TAG, DEFINITIONS
from addercost.counts.arithmetics.ternary import TERNARY
from addercost.counts.complex_numbers import in_real_numbers
from addercost.counts.registry import RULES, CountingRule
from addercost.counts.rules.elementwise import special_function
from addercost.counts.rules.movement import nothing
from addercost.counts.rules.sparse import KEEP_ZERO, OF_ALL_OPERANDS
from addercost.counts.work import NO_WORK, OperatorWork
from addercost.trace.record import PRODUCTS, OpCall, TensorSpec, map_tensors


def rule_for(name: str, tags: Collection[str]) -> CountingRule | None:
    """The rule that counts an operator: its own; else, for a view, the rule that counts nothing; else, for an
    operator that torch tags as element-wise, the rule for special functions; else None.

    name: without overload, "aten.mm".
    """
    rule = RULES.get(name)
    if rule is not None:
        return rule
    if "view" in tags:
        return nothing
    return special_function if "pointwise" in tags else None


def is_counted(name: str, tags: Collection[str]) -> bool:
    """Whether an operator is counted as it is. The tracer records the others by their decomposition."""
    return rule_for(name, tags) is not None


def work_of(call: OpCall) -> OperatorWork | None:
    """The call's work in real numbers, or None for a call that no rule counts."""
    rule = rule_for(call.name, call.tags)
    if rule is None:
        return None
    if rule is nothing:
        return NO_WORK
    tensors = call.tensors()
    stored = [spec for spec in tensors if spec.stored is not None]
    if stored and call.name in KEEP_ZERO:
        elements = _of_stored_elements(call, stored)
        if elements is None:
            return None
        call = elements
    elif stored and not _knows_sparse(call, len(stored)):
        return None
    work = rule(call)
    if work is None:
        return None
    if call.tags:
        work = _tagged(call, work)
    return in_real_numbers(call, work) if any(spec.is_complex for spec in tensors) else work


def _tagged(call: OpCall, work: OperatorWork) -> OperatorWork:
    """The work as the tags change it: of a gradient, of signs, of ternary weights, of an arithmetic."""
    if "backward" in call.tags and any(site.weighted for site in work.sites):
        # A gradient is a sum of products whatever the layer's arithmetic is, so a what-if leaves it alone.
        work = replace(work, sites=tuple(replace(site, weighted=False) for site in work.sites))
    if "binary" in call.tags:
        # A product of signs, written in plain torch: the signs and the scaling of the result are other calls.
        work = replace(
            work,
            sites=tuple(
                replace(site, arithmetic=Arithmetic.XNOR, inputs=0, scaled=False) for site in work.sites
            ),
        )
    if TERNARY in call.tags:
        # The rounding of inputs and the scaling of sums, if any, are other calls.
        work = replace(
            work,
            sites=tuple(
                replace(site, arithmetic=Arithmetic.TERNARY, inputs=0, scaled=False)
                if site.weighted
                else site
                for site in work.sites
            ),
        )
    return _in_arithmetic(call, work)


def _knows_sparse(call: OpCall, operands: int) -> bool:
    """Whether the call's rule counts a sparse operand by the values that it stores. operands: how many of the
    call's operands are sparse. Of two it depends on where the values are, which the tracer may know.
    """
    if "view" in call.tags or call.name in OF_ALL_OPERANDS or PRODUCTS in call.args:
        return True
    return operands == 1 and call.name in _SPARSE_PRODUCTS


_SPARSE_PRODUCTS = frozenset(
    f"aten.{name}"
    for name in (
        "mm", "bmm", "addmm", "mv", "addmv", "linear", "matmul", "convolution", "baddbmm",
        "_sparse_addmm", "sparse_sampled_addmm",
    )
)  # fmt: skip


def _of_stored_elements(call: OpCall, sparse: Sequence[TensorSpec]) -> OpCall | None:
    """An element-wise call on a sparse tensor as one on a vector of the values that it stores. Of two sparse
    tensors, a product has the values that its output stores, and a sum those that both store. None for
    other functions of two.
    """
    of = sparse[0]
    if len(sparse) == 1:
        n = of.n_stored
    elif call.name in ("aten.mul", "aten.mul_"):
        n = call.output.n_stored
    elif call.name in ("aten.add", "aten.add_", "aten.sub", "aten.sub_"):
        n = sum(spec.n_stored for spec in sparse) - call.output.n_stored
    else:
        return None
    vector = (n,)

    def flat(name: str, spec: TensorSpec) -> TensorSpec:
        return replace(spec, shape=vector, stored=None) if spec.shape == of.shape else spec

    return map_tensors(call, flat)


def _in_arithmetic(call: OpCall, work: OperatorWork) -> OperatorWork:
    """The work in the arithmetic the call is tagged with: its weighted sites, or all where the arithmetic is
    one of products of activations too.
    """
    for tag in call.tags:
        if tag.startswith(ARITHMETIC_TAG):
            arithmetic = Arithmetic(tag.removeprefix(ARITHMETIC_TAG))
            everywhere = DEFINITIONS[arithmetic].of_activations
            sites = tuple(
                replace(s, arithmetic=arithmetic) if s.weighted or everywhere else s for s in work.sites
            )
            return replace(work, sites=sites)
    return work
