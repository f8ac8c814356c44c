"""A SPACE in a form that can be sent to a worker."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpaceSource:
    """The user's text and, if it names a file, the file's content, since a worker on another machine may lack
    the file.

    folder: the folder of the file, from which it may import.
    """

    spec: str
    text: str = ""
    folder: str = ""

    @property
    def digest(self) -> str:
        """A digest of the space. It does not depend on the folder of a file."""
        return hashlib.sha256(f"{self.spec.rpartition('/')[2]}\0{self.text}".encode()).hexdigest()
