"""What other installed packages add to addercost: records that they name in entry points.

A package offers a kind of SPEC, for example, with these lines in its pyproject.toml:

    [project.entry-points."addercost.sources"]
    onnx = "onnx_cost.spec:ONNX"
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, TypeVar


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
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, _package(entry))):
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


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "?"


def _warn(group: str, entry: EntryPoint, why: str) -> None:
    warnings.warn(
        f"{entry.name!r} of the package {_package(entry)} is left out of {group}: {why}", stacklevel=1
    )
