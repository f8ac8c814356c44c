"""Results that functions of ours keep (`functools.cache`), which hide a change of what computed them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

OWN = ("addercost", "tests", "tools")
_LEFT = ("addercost.trace", "addercost.sources", "addercost.extensions")
"""No mutant is made there, and some of these functions register with torch what can be registered once."""


def forget_results() -> None:
    """Every function of ours that keeps its results computes them anew."""
    for one in _functions():
        if not one.__module__.startswith(_LEFT):
            one.cache_clear()


def _functions() -> Iterator[Any]:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in OWN:
            for value in list(vars(module).values()):
                inside = vars(value).values() if isinstance(value, type) else ()
                yield from (one for one in (value, *inside) if isinstance(one, functools._lru_cache_wrapper))
