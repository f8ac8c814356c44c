"""Lists every kind of SPEC, ours and those of other packages, and finds the kind of a SPEC. It needs no
torch.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from pathlib import Path

from addercost.errors import AddercostError, ArgumentError, ModelError
from addercost.sources.exported import EXPORTED
from addercost.sources.gguf_file import GGUF_FILE
from addercost.sources.kind import SpecKind
from addercost.sources.module_path import MODULE_PATH
from addercost.sources.onnx_file import ONNX_FILE
from addercost.sources.python_file import PYTHON_FILE
from addercost.sources.saved_profile import SAVED_PROFILE
from addercost.sources.saved_trace import SAVED_TRACE
from addercost.sources.tflite_file import TFLITE_FILE
from addercost.sources.timm import TIMM_MODEL
from addercost.sources.torchvision import TORCHVISION_MODEL
from addercost.sources.transformers import TRANSFORMERS_MODEL
from addercost.sources.zoo import ZOO_MODEL

GROUP = "addercost.sources"
"""The entry points of other packages, each of which names a `SpecKind`."""

BUILT_IN = (
    PYTHON_FILE,
    MODULE_PATH,
    ZOO_MODEL,
    TORCHVISION_MODEL,
    TIMM_MODEL,
    TRANSFORMERS_MODEL,
    EXPORTED,
    ONNX_FILE,
    TFLITE_FILE,
    GGUF_FILE,
    SAVED_PROFILE,
    SAVED_TRACE,
)
"""The built-in kinds, in the order of help texts."""


@functools.cache
def of_other_packages() -> tuple[SpecKind, ...]:
    # Reading the entry points of all installed packages takes milliseconds, which most SPECs do not need.
    from addercost.extensions import extensions

    return extensions(GROUP, SpecKind, [kind.name for kind in BUILT_IN])


def kinds() -> tuple[SpecKind, ...]:
    """All kinds, in the order of help texts."""
    return BUILT_IN + of_other_packages()


def kind_of(spec: str) -> SpecKind:
    """The kind that recognises a SPEC: one of ours, else another package's, else the name of a module.

    Raises ModelError for a file that no kind recognises, and ArgumentError for any other text that is no
    SPEC.
    """
    for kind in _in_turn():
        if _recognises(kind, spec):
            return kind
    if "/" in spec or "\\" in spec or Path(spec).exists():
        raise ModelError(f"cannot read a model from {spec}", spec_hint())
    raise ArgumentError(f"{spec.partition(':')[0]!r} is not a model", spec_hint())


def catalogued(name: str) -> SpecKind | None:
    """The kind of that name, if it can list its models."""
    for kind in _in_turn():
        if kind.name == name:
            return kind if kind.catalogue is not None else None
    return None


def spec_forms() -> str:
    """The forms of a SPEC as a phrase: "model.py, …, program.pt2 or trace.json"."""
    forms = [kind.form for kind in kinds() if kind.load_profile is None]
    return f"{', '.join(forms[:-1])} or {forms[-1]}"


def spec_hint() -> str:
    """The hint for a SPEC that names nothing."""
    return f"SPEC is one of {spec_forms()}"


def _in_turn() -> Iterator[SpecKind]:
    """The kinds in the order in which they are asked. Kinds of other packages are looked up only if
    needed.
    """
    yield from (kind for kind in BUILT_IN if kind is not MODULE_PATH)
    yield from of_other_packages()
    yield MODULE_PATH


def _recognises(kind: SpecKind, spec: str) -> bool:
    try:
        return kind.recognises(spec)
    except AddercostError:
        raise
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        warnings.warn(f"the kind of SPEC {kind.name!r} cannot look at {spec}: {text}", stacklevel=1)
        return False
