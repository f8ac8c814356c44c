"""Clears the results that our functions cache (`functools.cache`), since a cached result hides a change of
the function.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

OWN = ("addercost", "benchmarks", "examples", "tests", "tools")
"""The folders whose modules import ours. None of them may be imported before a mutant is made."""
_LEFT = ("addercost.trace", "addercost.sources", "addercost.extensions")
"""Packages that are left out: no mutants are made there, and some of their functions register objects with
torch, which can be done only once.
"""


def forget_results() -> None:
    """Clears the cache of every function of ours."""
    for one in _functions():
        if not one.__module__.startswith(_LEFT):
            one.cache_clear()


def _functions() -> Iterator[Any]:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in OWN:
            for value in list(vars(module).values()):
                inside = vars(value).values() if isinstance(value, type) else ()
                yield from (one for one in (value, *inside) if isinstance(one, functools._lru_cache_wrapper))
