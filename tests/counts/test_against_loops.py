"""Every rule against a loop over counting numbers, on shapes that Hypothesis draws."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.counts import cases
from tests.counts.oracle import CASES, check

for _module in pkgutil.iter_modules(cases.__path__):
    importlib.import_module(f"{cases.__name__}.{_module.name}")


@pytest.mark.parametrize("name", sorted(CASES))
def test_rule_counts_what_the_loop_does(name: str) -> None:
    make, operators = CASES[name]
    met: set[str] = set()

    @settings(max_examples=25, deadline=None, database=None, derandomize=True)
    @given(st.data())
    def run(data: Any) -> None:
        torch.manual_seed(0)
        met.update(check(make(data.draw)))

    run()
    assert set(operators) <= met, "the case never reached the operator it stands for"
