"""Finds what other installed packages add to addercost: records that they name in entry points.

A package offers a kind of SPEC, for example, with these lines in its pyproject.toml:

    [project.entry-points."addercost.sources"]
    onnx = "onnx_cost.spec:ONNX"
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


def extensions(group: str, record: type[N], taken: Collection[str]) -> tuple[N, ...]:
    """The records of the entry points of `group`, in order of their names.

    record: the class of the records. taken: names that are used already. An entry point is left out if it
    cannot be loaded, is of another class, or has a used name. A warning of one line then names its package
    and the reason.
    """
    found: dict[str, N] = {}
    for entry in sorted(entries(group), key=lambda entry: (entry.name, package_of(entry))):
        try:
            loaded = entry.load()
        except Exception as error:
            _warn(group, entry, " ".join(f"{type(error).__name__}: {error}".split()))
            continue
        if not isinstance(loaded, record):
            _warn(group, entry, f"{entry.value} is a {type(loaded).__name__}, not a {record.__name__}")
        elif loaded.name in taken or loaded.name in found:
            whose = "addercost" if loaded.name in taken else "another package"
            _warn(group, entry, f"the name {loaded.name!r} is taken by {whose}")
        else:
            found[loaded.name] = loaded
    return tuple(found.values())


def entries(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group in all installed packages. No package is imported."""
    return _entries(group, tuple(sys.path))


def package_of(entry: EntryPoint) -> str:
    """The name of an entry point's package, or the object it points to where no package is known."""
    return entry.dist.name if entry.dist is not None else entry.value


@cache
def _entries(group: str, places: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """The entry points of packages in the places of `sys.path`."""
    if not _may_have_any(group, places):
        return ()
    from importlib.metadata import entry_points

    return tuple(entry_points(group=group))


def _may_have_any(group: str, places: Sequence[str]) -> bool:
    """Whether a place of `sys.path` may have entry points of the group. An archive always may; of a folder
    the files are looked at.

    It saves the import of importlib.metadata where there are none: 40 ms of the 220 ms that `addercost
    profile trace.json` takes.
    """
    heading = f"[{group}]".encode()
    return any(Path(place).is_file() for place in places) or any(
        heading in file.read_bytes()
        for place in places
        for file in Path(place).glob("*-info/entry_points.txt")
    )


def _warn(group: str, entry: EntryPoint, why: str) -> None:
    warnings.warn(
        f"{entry.name!r} of the package {package_of(entry)} is left out of {group}: {why}", stacklevel=1
    )
