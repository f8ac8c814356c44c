"""Every counting rule of the package stands in the table of rules."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from addercost.counts import rules
from addercost.counts.registry import RULES

PARTS = {
    "elementwise.per_element": "the count of a formula, which rules of single operators use",
    "elementwise.special_function": "the rule of operators that torch tags as element-wise",
    "matmul.product": "the work of a product, which rules of products use",
    "normalization.rows_normalized": "the work of a norm by rows",
}
"""Functions that give an operator's work and are no rule of a named operator."""


def test_every_rule_is_registered() -> None:
    left_out = set()
    for item in pkgutil.iter_modules(rules.__path__):
        module = importlib.import_module(f"{rules.__name__}.{item.name}")
        for name, function in vars(module).items():
            own = inspect.isfunction(function) and function.__module__ == module.__name__
            if not own or name.startswith("_"):
                continue
            if (
                "OperatorWork" in str(function.__annotations__.get("return"))
                and function not in RULES.values()
            ):
                left_out.add(f"{item.name}.{name}")
    assert left_out == set(PARTS)
