"""Mutants that survive because their change has no visible effect, each with the reason."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path("tests/mutants_accepted.toml")


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted mutant: a line before and after the change, without indentation. So it stays valid when
    lines move.
    """

    file: str
    before: str
    after: str
    reason: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.file, self.before, self.after


def accepted_mutants() -> dict[tuple[str, str, str], Accepted]:
    """Accepted mutants by (file, line before, line after). Raises ValueError for a repeated entry, or one
    without a reason.
    """
    entries = tomllib.loads(FILE.read_text(encoding="utf-8")).get("mutant", [])
    found: dict[tuple[str, str, str], Accepted] = {}
    for entry in entries:
        one = Accepted(**entry)
        if one.key in found or not one.reason.strip():
            raise ValueError(f"{FILE}: {one.file}: {one.before!r} is there twice or has no reason")
        found[one.key] = one
    return found
