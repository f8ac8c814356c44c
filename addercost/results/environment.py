"""What two environments of measurements differ in, as far as it makes their timings incomparable."""

from __future__ import annotations

from collections.abc import Mapping

MAY_DIFFER = ("date", "addercost", "commit", "kernels")
"""The lines with the time and the version of addercost; all others describe the environment."""

VERSION = ("addercost", "kernels")
"""Those of them that decide what was timed: rows of two versions of our kernels are not of one run."""


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """`name: this, that` of every line of two environments that makes their timings incomparable."""
    names = [name for name in dict.fromkeys((*one, *other)) if name not in MAY_DIFFER]
    return [
        f"{name}: {one.get(name, 'not recorded')}, {other.get(name, 'not recorded')}"
        for name in names
        if one.get(name) != other.get(name)
    ]
