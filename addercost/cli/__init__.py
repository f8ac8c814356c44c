"""The command line. Each command has its own file, which is imported when the command is called. Errors
become exit codes here.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_SAYS = ("-h", "--help", "--help-all", "--version")
"""Options that run no code of users, so that no supervising process is needed."""

_COMPLETION = "_ADDERCOST_COMPLETE"
"""The environment variable that a shell sets when it asks for completions."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line in a child process and exits with its code."""
    from addercost.results.stdout import allow_claim

    _open_standard_descriptors()
    allow_claim()
    given = sys.argv[1:] if arguments is None else arguments
    if not given or _COMPLETION in os.environ or not set(_SAYS).isdisjoint(given):
        sys.exit(run(arguments))
    from addercost.supervision import supervised

    sys.exit(supervised(lambda: _run_to_the_end(arguments)))


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code. Errors are one line on stderr."""
    import click

    from addercost.cli.group import cli

    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with short_warnings():
            result = cli.main(given, prog_name="addercost", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except BaseException as error:
        if _COMPLETION in os.environ and isinstance(error, SystemExit):
            # click raises this after it has answered the shell.
            return error.code if isinstance(error.code, int) else 0
        if "--debug" in given and not isinstance(error, click.Abort | KeyboardInterrupt):
            raise
        return _end(error)


def _run_to_the_end(arguments: Sequence[str] | None) -> int:
    """The same as `run`, and also handles a signal that comes while an error is being written."""
    try:
        return run(arguments)
    except KeyboardInterrupt as error:
        return _end(error)


def _end(error: BaseException) -> int:
    from addercost.cli.endings import ending, say

    line, code = ending(error)
    say(line)
    return code


def _open_standard_descriptors() -> None:
    """Opens descriptors 0 to 2 where they are closed. Otherwise the next opened file would become a standard
    stream.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


@contextmanager
def short_warnings() -> Iterator[None]:
    """Inside the block, a warning of this package is printed as one line, like every other message."""
    from addercost.text import error_line

    usual = warnings.formatwarning
    package = Path(__file__).parents[1]

    def formatted(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if package in Path(filename).parents:
            return f"addercost: {error_line(str(message))}\n"
        return usual(message, category, filename, lineno, line)

    warnings.formatwarning = formatted
    try:
        yield
    finally:
        warnings.formatwarning = usual
