"""What other installed packages add to addercost: records that they name in entry points.

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

    record: what each must be. taken: names that are in use here. An entry point that cannot be loaded, is
    something else, or has a name in use is left out, and a warning of one line says whose it is and why.
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
    """The entry points of a group in the installed packages. Nothing of a package is imported."""
    return _entries(group, tuple(sys.path))


def package_of(entry: EntryPoint) -> str:
    """The name of the package that an entry point is of, or what it points to where no package is known."""
    return entry.dist.name if entry.dist is not None else entry.value


@cache
def _entries(group: str, places: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Those that packages in the places of `sys.path` add."""
    if not _may_have_any(group, places):
        return ()
    from importlib.metadata import entry_points

    return tuple(entry_points(group=group))


def _may_have_any(group: str, places: Sequence[str]) -> bool:
    """Whether a package in a folder has entry points of the group, or a place is no folder but an archive.

    Importing importlib.metadata to find that there are none takes 40 ms, where all of
    `addercost profile trace.json` takes 220.
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
