"""Changed networks: pure functions from trace to trace, one in each file, each with its formula and source.

`apply(trace, "prune=0.5")` returns the trace of the changed network, which is counted as any other. The
change of accuracy is not predicted. A new change registers itself with `alternative`.
"""

from __future__ import annotations

import importlib
import pkgutil

from addercost.counts.what_if.registry import ALTERNATIVES, Alternative, apply, parse

__all__ = ["ALTERNATIVES", "Alternative", "apply", "parse"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
