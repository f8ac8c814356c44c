"""The kinds of SPACE: a user's Python file, models of a catalogue, NAS-Bench-201.

Naming a space needs neither torch nor the user's code. A kind imports what it needs when a space is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from addercost.errors import ArgumentError, DataError, ModelError
from addercost.input_files import read_text
from addercost.sources.registry import catalogued
from addercost.sources.registry import kinds as spec_kinds
from addercost.sweep.spaces.source import SpaceSource


@dataclass(frozen=True, slots=True)
class SpaceKind:
    """One kind of SPACE.

    form: how a user writes such a SPACE, for errors. fits: whether a text names a space of this kind.
    members: opens the space; it returns an iterable, or a function that returns one, of values that
    `members.as_architecture` takes. source: reads the data that a worker cannot read itself.
    """

    form: Callable[[], str]
    fits: Callable[[str], bool]
    members: Callable[[SpaceSource], Any]
    source: Callable[[str], SpaceSource] = SpaceSource


def _is_python_file(spec: str) -> bool:
    return Path(spec).suffix == ".py"


def _with_text(spec: str) -> SpaceSource:
    path = Path(spec)
    try:
        return SpaceSource(spec, read_text(path), str(path.resolve().parent))
    except DataError as error:
        raise ModelError(error.message, _hint()) from None


def _from_file(source: SpaceSource) -> Any:
    from addercost.sweep.spaces.python_file import file_members

    return file_members(source)


def _catalogue_forms() -> str:
    forms = ", ".join(f"{kind.name}:*" for kind in spec_kinds() if kind.catalogue is not None)
    return f"{forms} (or a pattern such as torchvision:resnet*)"


def _is_pattern_of_a_catalogue(spec: str) -> bool:
    name, _, pattern = spec.partition(":")
    return bool(pattern) and catalogued(name) is not None


def _from_catalogue(source: SpaceSource) -> Any:
    from addercost.sweep.spaces.catalogue_models import catalogue_models

    return catalogue_models(source.spec)


def _nasbench201(source: SpaceSource) -> Any:
    from addercost.sweep.spaces.nasbench201 import NasBench201Cells

    return NasBench201Cells()


KINDS = (
    SpaceKind(lambda: "space.py", _is_python_file, _from_file, _with_text),
    SpaceKind(_catalogue_forms, _is_pattern_of_a_catalogue, _from_catalogue),
    SpaceKind(lambda: "nasbench201", lambda spec: spec == "nasbench201", _nasbench201),
)


def space_kind(spec: str) -> SpaceKind:
    """The kind of a SPACE. Raises ArgumentError where no kind fits."""
    # From the last to the first, since `zoo:a.py` also looks like a file.
    for kind in reversed(KINDS):
        if kind.fits(spec):
            return kind
    raise ArgumentError(f"{spec!r} is no space", _hint())


def space_source(spec: str) -> SpaceSource:
    """The source of a SPACE. Raises ArgumentError where no kind fits, and ModelError for a file that cannot
    be read.
    """
    return space_kind(spec).source(spec)


def _hint() -> str:
    *others, last = (kind.form() for kind in KINDS)
    return f"SPACE is one of {', '.join(others)}, or {last}"
