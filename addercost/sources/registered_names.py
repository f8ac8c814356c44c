"""Names of the models of torchvision and timm, read from their sources: importing them takes seconds."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path

_REGISTERED = re.compile(
    r"^@register_model(?:\((?:name=\"(?P<name>\w+)\")?\))?\n"
    r"(?:@.*\n|    .*\n|\)\n)*def (?P<function>\w+)",
    re.MULTILINE,
)
"""Both packages register a model by a decorator of the function that builds it, under its name or another."""


def completions(prefix: str, incomplete: str) -> list[str]:
    """The prefix, then SPECs of the models of its package: `timm:` and what follows."""
    if not incomplete.startswith(prefix):
        return [prefix] if prefix.startswith(incomplete) else []
    names = registered_names(prefix.removesuffix(":"))
    return [spec for name in names if (spec := prefix + name).startswith(incomplete)]


@functools.cache
def registered_names(package: str) -> tuple[str, ...]:
    """In alphabetical order; none where the package is not installed."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return ()
    files = sorted((Path(found.origin).parent / "models").rglob("*.py"))
    texts = (file.read_text(encoding="utf-8") for file in files)
    return tuple(
        sorted({match["name"] or match["function"] for text in texts for match in _REGISTERED.finditer(text)})
    )
