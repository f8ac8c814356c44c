"""One name, one class: a reader who searches for a public class of the package finds one definition."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "addercost"


def shared_names(files: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The public classes at the top of several modules, with those. files: name and text of each module."""
    places = defaultdict(list)
    for name, text in files:
        for public in re.findall(r"^class ([^\W_]\w*)", text, flags=re.MULTILINE):
            places[public].append(name)
    return {name: found for name, found in places.items() if len(found) > 1}


def test_no_two_public_classes_share_a_name() -> None:
    modules = ((str(path.relative_to(PACKAGE)), path.read_text()) for path in sorted(PACKAGE.rglob("*.py")))
    assert shared_names(modules) == {}


def test_a_shared_name_is_found() -> None:
    modules = (("a.py", "class One: pass\nclass _Own: pass"), ("b.py", "class One: pass\nclass _Own: pass"))
    assert shared_names(modules) == {"One": ["a.py", "b.py"]}
