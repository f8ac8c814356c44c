"""Names of the models of torchvision and timm. They are read from the sources, since importing the packages
takes seconds.
"""

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
    """Completions for the shell: the prefix such as `timm:`, then the SPECs of the package's models."""
    if not incomplete.startswith(prefix):
        return [prefix] if prefix.startswith(incomplete) else []
    names = registered_names(prefix.removesuffix(":"))
    return [spec for name in names if (spec := prefix + name).startswith(incomplete)]


@functools.cache
def registered_names(package: str) -> tuple[str, ...]:
    """The names in alphabetical order; none where the package is not installed."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return ()
    files = sorted((Path(found.origin).parent / "models").rglob("*.py"))
    texts = (file.read_text(encoding="utf-8") for file in files)
    return tuple(
        sorted({match["name"] or match["function"] for text in texts for match in _REGISTERED.finditer(text)})
    )
