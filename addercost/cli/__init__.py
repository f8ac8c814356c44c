"""The command line: one command a file, imported when it is called; errors become exit codes here."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_SAYS = ("-h", "--help", "--version")
"""Options that run no code of users, so that no other process has to wait for their end."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line in a process of its own and exits with its code."""
    from addercost.results.stdout import allow_claim

    allow_claim()
    given = sys.argv[1:] if arguments is None else arguments
    if not given or not set(_SAYS).isdisjoint(given):
        sys.exit(run(arguments))
    from addercost.supervision import supervised

    sys.exit(supervised(lambda: run_to_the_end(arguments)))


def run_to_the_end(arguments: Sequence[str] | None = None) -> int:
    """As `run`, also where a signal comes while an error is being written."""
    try:
        return run(arguments)
    except KeyboardInterrupt as stop:
        return _stopped(stop)


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code. Errors are one line on stderr."""
    import click

    from addercost.cli.group import cli
    from addercost.errors import AddercostError
    from addercost.text import error_line, error_text

    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        with short_warnings():
            result = cli.main(given, prog_name="addercost", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.ClickException as error:
        if debug:
            raise
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "addercost"
        print(
            f"addercost: {error_line(error.format_message().rstrip('.'))}; see {path} --help", file=sys.stderr
        )
        return error.exit_code
    except click.Abort:
        return _stopped(KeyboardInterrupt())
    except KeyboardInterrupt as stop:
        return _stopped(stop)
    except AddercostError as error:
        if debug:
            raise
        print(f"addercost: {error_line(str(error))}", file=sys.stderr)
        return error.exit_code
    except MemoryError:
        print("addercost: out of memory; try a smaller input", file=sys.stderr)
        return 4
    except Exception as error:
        if debug:
            raise
        text = error_line(f"{type(error).__name__}: {error_text(error)}")
        print(f"addercost: a fault of ours: {text}; run again with --debug and report it", file=sys.stderr)
        return 70
    except BaseException as error:
        # Click raises no SystemExit here, so the model's forward did, or a class outside Exception.
        if debug:
            raise
        text = error_line(f"{type(error).__name__} {error_text(error)}".strip())
        print(f"addercost: the model ended the program: {text}; --debug shows where", file=sys.stderr)
        return 4


def _stopped(stop: KeyboardInterrupt) -> int:
    import signal

    from addercost.supervision import STOPPED, Terminated

    line, code = STOPPED[signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT]
    print(line, file=sys.stderr)
    return code


@contextmanager
def short_warnings() -> Iterator[None]:
    """Within the block a warning of this package is printed as one line, like every other message."""
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
