"""Compares the environments of two measurements for differences that make their timings incomparable."""

from __future__ import annotations

from collections.abc import Mapping

MAY_DIFFER = ("date", "addercost", "commit", "kernels")
"""The lines with the time and the version of addercost. All other lines describe the environment."""

VERSION = ("addercost", "kernels")
"""The lines among these that decide what was timed: rows of two versions of our kernels do not belong to one
run.
"""


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """`name: this, that` of every line of two environments that makes their timings incomparable."""
    names = [name for name in dict.fromkeys((*one, *other)) if name not in MAY_DIFFER]
    return [
        f"{name}: {one.get(name, 'not recorded')}, {other.get(name, 'not recorded')}"
        for name in names
        if one.get(name) != other.get(name)
    ]
