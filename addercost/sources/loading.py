"""Loads the model of a SPEC, by the kind of the SPEC."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from addercost.errors import AddercostError, ModelError
from addercost.sources.kind import LoadedModel, NoSuchModelError, SpecKind
from addercost.sources.registry import BUILT_IN, kind_of, spec_hint
from addercost.sources.time_limit import load_limit

T = TypeVar("T")


def load_model(spec: str) -> LoadedModel:
    """Loads a model by SPEC; no weight is allocated. Raises ModelError or ArgumentError."""
    kind = kind_of(spec)
    load = kind.load_model
    if load is None:
        raise ModelError(f"cannot read a model from {spec}", spec_hint())
    with load_limit(spec):
        return explained(kind, spec, lambda: load(spec))


def explained(kind: SpecKind, spec: str, load: Callable[[], T]) -> T:
    """The result of `load`. Hints are added to its errors: the possible forms of a SPEC, or the package whose
    code failed.
    """
    try:
        return load()
    except NoSuchModelError as error:
        raise ModelError(error.message, error.hint or spec_hint()) from error
    except AddercostError:
        raise
    except Exception as error:
        if kind in BUILT_IN:
            raise
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(
            f"the kind of SPEC {kind.name!r} cannot load {spec}: {text}", "--debug shows the traceback"
        ) from error
