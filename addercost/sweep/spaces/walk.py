"""The sweep's own walk through a space, before any work. It finds how many architectures there are and which
names occur twice.
"""

from __future__ import annotations

import array
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from addercost.errors import AddercostError, ArgumentError, ModelError
from addercost.sweep.spaces.source import SpaceSource
from addercost.sweep.spaces.space import Space


@dataclass(frozen=True, slots=True)
class Walk:
    """duplicates: the index of an architecture with an earlier name → the index of that name's first
    architecture. digest: a digest of all names in order.
    """

    architectures: int
    duplicates: dict[int, int]
    digest: str


def walk(source: SpaceSource, first: int | None = None) -> Walk:
    """Walks the names once and keeps an eight-byte digest of each. Raises ModelError for a space that cannot
    be walked.
    """
    import numpy as np

    hashes = array.array("Q")
    content = hashlib.sha256(source.digest.encode())
    for name in names(source, first):
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        hashes.append(int.from_bytes(digest, "little"))
        content.update(digest)
    if not hashes:
        raise ArgumentError(f"{source.spec} is an empty space")
    values = np.frombuffer(hashes, dtype=np.uint64)
    order = np.argsort(values, kind="stable")
    repeated = np.flatnonzero(values[order][1:] == values[order][:-1]) + 1
    suspects = {int(i) for position in repeated for i in (order[position - 1], order[position])}
    return Walk(len(hashes), _duplicates(source, suspects) if suspects else {}, content.hexdigest())


def names(source: SpaceSource, first: int | None = None) -> Iterator[str]:
    """The names in order, at most `first`. Raises ModelError for whatever the user's code raises."""
    try:
        yield from itertools.islice(Space(source).names(), first)
    except AddercostError:
        raise
    except Exception as error:
        raise ModelError(f"walking {source.spec} raised {type(error).__name__}: {error}") from error


def duplicate_of(first: int) -> str:
    """The error of an architecture whose name is that of an earlier one, at index `first`."""
    return f"duplicate name: architecture {first} is called so too"


def _duplicates(source: SpaceSource, suspects: set[int]) -> dict[int, int]:
    """The suspects whose names are equal, and not only the digests of their names."""
    seen: dict[str, int] = {}
    found = {}
    for index, name in enumerate(names(source)):
        if index in suspects:
            if name in seen:
                found[index] = seen[name]
            else:
                seen[name] = index
        if index >= max(suspects):
            break
    return found
