"""Finds which files a module of tests imports by name. These are the files it was written for, and not all
that it runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def direct_imports(file: Path) -> frozenset[str]:
    """The files, relative to this folder, of the modules that `file` names in its imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(str(path) for name in _names(tree) if (path := _file_of(name)) is not None)


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            # A name that is imported from a package may be a module.
            yield from (f"{node.module}.{one.name}" for one in node.names)


def _file_of(module: str) -> Path | None:
    path = Path(*module.split("."))
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)
