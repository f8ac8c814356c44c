"""What one recorded call works: its rule, the tags that change its arithmetic, complex as real numbers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from addercost.arithmetic import Arithmetic
from addercost.counts import rules as _rules  # noqa: F401  (registers every rule)
from addercost.counts.complex_numbers import in_real_numbers
from addercost.counts.rules.elementwise import special_function
from addercost.counts.rules.movement import nothing
from addercost.counts.work import ARITHMETIC_TAG, RULES, Rule, Work
from addercost.trace.record import OpCall


def rule_for(name: str, tags: Collection[str]) -> Rule | None:
    """How an operator is counted: by its rule, else nothing for a view, else by torch's element-wise tag.

    None for an operator that none of these fits. name: without overload, "aten.mm".
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


def work_of(call: OpCall) -> Work | None:
    """The call's work in real numbers, or None where nothing is known about the operator."""
    rule = rule_for(call.name, call.tags)
    if rule is None:
        return None
    work = rule(call)
    if "backward" in call.tags and any(site.weighted for site in work.sites):
        # A gradient is a product whatever the layer's arithmetic: what-if questions leave it alone.
        work = replace(work, sites=tuple(replace(site, weighted=False) for site in work.sites))
    if "binary" in call.tags:
        # A product of signs in plain torch: taking the signs and scaling the result are calls of their own.
        work = replace(
            work,
            sites=tuple(
                replace(site, arithmetic=Arithmetic.XNOR, inputs=0, scaled=False) for site in work.sites
            ),
        )
    work = _in_arithmetic(call, work)
    return in_real_numbers(call, work) if any(spec.is_complex for spec in call.tensors()) else work


def _in_arithmetic(call: OpCall, work: Work) -> Work:
    """The work with its weighted sites in the arithmetic the call is tagged with."""
    for tag in call.tags:
        if tag.startswith(ARITHMETIC_TAG):
            arithmetic = Arithmetic(tag.removeprefix(ARITHMETIC_TAG))
            sites = tuple(replace(s, arithmetic=arithmetic) if s.weighted else s for s in work.sites)
            return replace(work, sites=sites)
    return work
