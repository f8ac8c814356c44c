"""One line of what `addercost doctor` says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LONGEST = 160
"""Characters of an error that are shown."""


class FindingState(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Works, and a reader of timings should know."""
    OPTIONAL = "not installed"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class MachineFinding:
    """One thing of one part of the machine. mend: the command or the step; empty where nothing is to be done.

    needed: whether `--strict` fails for it.
    """

    part: str
    thing: str
    state: FindingState
    found: str = ""
    mend: str = ""
    needed: bool = False

    @property
    def fails(self) -> bool:
        return self.needed and self.state in (FindingState.MISSING, FindingState.BROKEN)


def in_words(error: BaseException) -> str:
    """The kind of error and the first line of its text."""
    first = str(error).strip().partition("\n")[0][:LONGEST]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
