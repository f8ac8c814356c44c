"""The type of a finding: one line of the output of `addercost doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LONGEST = 160
"""The most characters of an error that are shown."""


class FindingState(StrEnum):
    OK = "ok"
    NOTE = "note"
    """It works, but whoever reads timings should know of it."""
    OPTIONAL = "not installed"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class MachineFinding:
    """A finding about one part of the machine. mend: the command or step that mends it; empty where nothing
    is to be done.

    needed: whether `--strict` fails because of it.
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
    """The class of an error and the first line of its text."""
    first = str(error).strip().partition("\n")[0][:LONGEST]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
