"""Computes what a neural network costs, operation by operation, on real processors.

    import addercost
    addercost.profile("zoo:lenet5-bn", convention="macs", cpus="intel-skylake-x")

Names are imported when first used, so that `import addercost` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from addercost.version import __version__ as __version__

if TYPE_CHECKING:
    from addercost.api import load_model, measure_model, profile, trace_model, train_model
    from addercost.arithmetic import Arithmetic, OpClass, OpCounts
    from addercost.cost.estimate import estimate
    from addercost.counts.model import count
    from addercost.counts.own_rules import rule
    from addercost.counts.work import OperatorWork, Sites
    from addercost.errors import AddercostError
    from addercost.layers.convert import convert
    from addercost.measure.session import BenchSettings
    from addercost.report.shown import compare
    from addercost.sources.kind import LoadedModel, SpecKind
    from addercost.trace.inputs import ModelInputs
    from addercost.trace.record import OpCall

_HOMES = {
    "AddercostError": "addercost.errors",
    "Arithmetic": "addercost.arithmetic",
    "OpCall": "addercost.trace.record",
    "OpClass": "addercost.arithmetic",
    "OpCounts": "addercost.arithmetic",
    "OperatorWork": "addercost.counts.work",
    "Sites": "addercost.counts.work",
    "compare": "addercost.report.shown",
    "convert": "addercost.layers.convert",
    "count": "addercost.counts.model",
    "estimate": "addercost.cost.estimate",
    "LoadedModel": "addercost.sources.kind",
    "load_model": "addercost.api",
    "measure_model": "addercost.api",
    "BenchSettings": "addercost.measure.session",
    "ModelInputs": "addercost.trace.inputs",
    "profile": "addercost.api",
    "rule": "addercost.counts.own_rules",
    "SpecKind": "addercost.sources.kind",
    "trace_model": "addercost.api",
    "train_model": "addercost.api",
}

__all__ = [
    "AddercostError",
    "Arithmetic",
    "BenchSettings",
    "LoadedModel",
    "ModelInputs",
    "OpCall",
    "OpClass",
    "OpCounts",
    "OperatorWork",
    "Sites",
    "SpecKind",
    "compare",
    "convert",
    "count",
    "estimate",
    "load_model",
    "measure_model",
    "profile",
    "rule",
    "trace_model",
    "train_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'addercost' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
