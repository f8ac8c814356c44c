"""Every error that addercost raises for its user: `message` says what went wrong, `hint` what to do next.

Scripts rely on the exit codes; `addercost --help` and `docs/trust.md` list them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AddercostError(Exception):
    """The base class of all errors of addercost, so that a caller can catch one class."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class CheckFailedError(AddercostError):
    """The command did its work, and a check that the user asked for (`--strict`, a budget) failed."""

    exit_code = 1


class ArgumentError(AddercostError):
    """An argument names something that does not exist or does not fit. The exit code is that of click's usage
    errors.
    """

    exit_code = 2


class ModelError(AddercostError):
    """The model cannot be loaded or built."""

    exit_code = 3


class TraceError(AddercostError):
    """The model's forward does not run on the inputs given."""

    exit_code = 4


class OutputError(AddercostError):
    """A result cannot be written where it was asked for."""

    exit_code = 5


class DataError(AddercostError):
    """A data file (trace, profile, hardware table) is malformed or of another schema version."""

    exit_code = 6


class ShapeError(AddercostError, ValueError):
    """Tensors handed to a layer do not fit together."""

    exit_code = 4


class WorkersLostError(AddercostError):
    """The workers or the cluster on which a sweep runs are gone."""

    exit_code = 7


class TrainingError(AddercostError):
    """Training cannot continue: a loss or gradient is no number, or a layer has no gradient."""

    exit_code = 8


INTERRUPTED, TERMINATED = 130, 143
"""Exit codes after Ctrl-C and SIGTERM: 128 + the number of the signal, as shells report it."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ArgumentError:
    """The error for a name that is not among `known`. Its hint offers the nearest ones."""
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(choices[:12])}"
    if not near and len(choices) > 12:
        hint += f" and {len(choices) - 12} more"
    return ArgumentError(f"unknown {kind} {name!r}", hint)
