"""SPACE as the user names it, in a form that can be sent to a worker."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpaceSource:
    """What the user named and, where that is a file, its text: a worker on another machine may lack the file.

    folder: of the file, from which it may import.
    """

    spec: str
    text: str = ""
    folder: str = ""

    @property
    def digest(self) -> str:
        """Does not depend on the folder that a file is in."""
        return hashlib.sha256(f"{self.spec.rpartition('/')[2]}\0{self.text}".encode()).hexdigest()
