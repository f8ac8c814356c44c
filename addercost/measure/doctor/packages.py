"""Findings about Python and the packages that `addercost` uses: whether they are installed, new enough and
not broken.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from addercost.measure.doctor.finding import FindingState, MachineFinding, in_words

PROJECT = Path(__file__).parents[3] / "pyproject.toml"
"""The file with the requirements in a checkout. An installed package has them in its metadata."""

_REQUIREMENT = re.compile(
    r"([A-Za-z0-9._-]+)\s*(?:>=\s*([0-9.]+))?[^;]*"
    r"(?:;\s*extra\s*==\s*['\"](\w+)['\"])?"
)
_IMPORTED = ("torch", "halide", "llvmlite", "triton")
"""Packages that are imported to see whether they work, since kernels and timings need them. Of the others
only the version is looked up.
"""
_MODULES = {"scikit-learn": "sklearn", "nvidia-ml-py": "pynvml"}
"""Modules of packages whose names differ by more than a hyphen."""


def packages(deep: bool) -> Iterator[MachineFinding]:
    """Findings about Python and every package of every extra. deep: import all of them, to find broken
    ones.
    """
    yield MachineFinding("Python", "version", FindingState.OK, sys.version.partition(" ")[0])
    for extra, wanted in sorted(requirements().items()):
        for name, least in wanted:
            mend = f"pip install 'addercost[{extra}]'" if extra else f"pip install '{name}>={least}'"
            part = f"extra {extra}" if extra else "always needed"
            yield package(part, name, least, mend, needed=not extra, load=deep or name in _IMPORTED)


def requirements() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """(package, least version) of each extra; the key "" has the packages that are always needed. They come
    from the installed package's metadata, or else from the checkout's pyproject.toml.
    """
    lines: list[str] = []
    try:
        lines = list(metadata.requires("addercost") or ())
    except metadata.PackageNotFoundError:
        if PROJECT.is_file():
            tables = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
            lines = list(tables["dependencies"])
            for extra, wanted in tables["optional-dependencies"].items():
                lines += [f'{name}; extra == "{extra}"' for name in wanted]
    found: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match and match[1] != "addercost":
            found.setdefault(match[3] or "", []).append((match[1], match[2] or ""))
    return {extra: tuple(wanted) for extra, wanted in found.items() if extra != "dev"}


def package(part: str, name: str, least: str, mend: str, needed: bool, load: bool) -> MachineFinding:
    """The finding that says whether a package is installed, new enough and, where `load`, importable."""
    module = _MODULES.get(name, name.replace("-", "_"))
    try:
        there = module in sys.modules or importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        there = False
    if not there:
        state = FindingState.MISSING if needed else FindingState.OPTIONAL
        return MachineFinding(part, name, state, "", mend, needed)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = "of unknown version"
    if least and _numbers(version) and _numbers(version) < _numbers(least):
        found = f"{version}, older than {least}"
        return MachineFinding(part, name, FindingState.BROKEN, found, mend, needed)
    if name == "torchvision" and importable_torch() is not None:
        from addercost.sources.torchvision_models import is_built_for_cuda_only

        if is_built_for_cuda_only():
            found = (
                f"{version}, built for CUDA beside a torch without: models work, its operators (nms) do not"
            )
            mend = "install the torchvision build made for this torch (pytorch.org, Get started)"
            return MachineFinding(part, name, FindingState.NOTE, found, mend)
    if load:
        try:
            importlib.import_module(module)
        except BaseException as error:  # a broken package may raise any exception, even SystemExit
            if isinstance(error, KeyboardInterrupt):
                raise
            mend = f"pip install --force-reinstall '{name}{'>=' + least if least else ''}'"
            return MachineFinding(
                part, name, FindingState.BROKEN, f"{version}: {in_words(error)}", mend, True
            )
    return MachineFinding(part, name, FindingState.OK, version, "", needed)


def importable_torch() -> Any:
    """torch, or None where it cannot be imported; `packages` says why."""
    try:
        return importlib.import_module("torch")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])
