"""The work of one recorded call: its rule's count, changed by the call's tags, on real numbers."""

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
    """The rule that counts an operator, or None.

    It is the operator's own rule if there is one; for a view, the rule that counts nothing; for an operator
    that torch tags as element-wise, the rule for special functions. name: without the overload, such as
    "aten.mm".
    """
    rule = RULES.get(name)
    if rule is not None:
        return rule
    if "view" in tags:
        return nothing
    return special_function if "pointwise" in tags else None


def is_counted(name: str, tags: Collection[str]) -> bool:
    """Whether the operator itself is counted. The tracer records the others by their decomposition."""
    return rule_for(name, tags) is not None


def work_of(call: OpCall) -> OperatorWork | None:
    """The call's work as operations on real numbers, or None if no rule counts the call."""
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
    """The work as changed by the tags for gradients, signs, ternary weights and other arithmetics."""
    if "backward" in call.tags and any(site.weighted for site in work.sites):
        # A gradient is a sum of products whatever the layer's arithmetic, so a what-if leaves it alone.
        work = replace(work, sites=tuple(replace(site, weighted=False) for site in work.sites))
    if "binary" in call.tags:
        # The call is a product of signs, written in plain torch. Taking the signs and scaling the result are
        # other calls.
        work = replace(
            work,
            sites=tuple(
                replace(site, arithmetic=Arithmetic.XNOR, inputs=0, scaled=False) for site in work.sites
            ),
        )
    if TERNARY in call.tags:
        # Rounding the inputs and scaling the sums are other calls, if they happen at all.
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
    """Whether the call's rule counts a sparse operand by the values that it stores.

    operands: how many of the call's operands are sparse. With two, the count depends on where the values are,
    which the tracer may have recorded.
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
    """An element-wise call on sparse tensors, as a call on a vector of the values that it computes.

    For one sparse tensor these are its stored values. For a product of two they are the values that the
    output stores; for a sum of two, those in places where both store one. None for other functions of two
    sparse tensors.
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
    """The work in the arithmetic that the call's tag names. It applies to sites with weights, and to all
    sites where the arithmetic is also for products of activations.
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
