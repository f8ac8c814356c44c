"""Runs the user's code that makes a model, so that its weights take no memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from pathlib import Path
from typing import TypeVar

from addercost.errors import AddercostError, ModelError
from addercost.results.stdout import claim_stdout
from addercost.sources.data_free import DataFree
from addercost.sources.torchvision_models import make_importable
from addercost.sources.torchvision_operators import let_torchvision_call_them
from addercost.supervision import note
from addercost.text import error_text

T = TypeVar("T")

_PACKAGE = Path(__file__).parent.parent

_OWN_FAULT = (SyntaxError, ImportError, NameError, AddercostError)
"""Errors that would occur with real weights as well."""


def build(
    make: Callable[[], T],
    what: str,
    data_free: DataFree | None = None,
    advice: str = "it must load without arguments",
    may_need_values: Callable[[Exception], bool] = lambda error: True,
) -> T:
    """The result of `make()` with weights that have no data. Where that raises, `make` is called again with
    real weights, for constructors that need values. what: the model's name in errors. data_free: the mode
    under which the model is made. advice: the hint for errors without one. may_need_values: whether real
    weights may help after an error. By default they may after any: a user's constructor can answer missing
    values with any exception, and its model mostly fits into memory.

    Raises ModelError for anything that the user's code raises, SystemExit included.
    """
    make_importable()
    try:
        with user_output("load"):
            try:
                with data_free or DataFree():
                    made = make()
            except _OWN_FAULT:
                raise
            except Exception as error:
                if not may_need_values(error):
                    raise
                made = make()
        # The code may have imported torchvision.
        let_torchvision_call_them()
        return made
    except AddercostError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        text = error_text(error)
        where = _line_in_user_code(error)
        raise ModelError(
            f"{what} raised {type(error).__name__}{where}{f': {text}' if text else ''}",
            _advice(error) or f"{advice}; --debug shows the traceback",
        ) from error


def build_real(make: Callable[[], T]) -> T:
    """The result of `make()` with real weights. Its prints go to stderr."""
    with user_output("load"):
        return make()


def user_output(doing: str = "run") -> AbstractContextManager[object]:
    """Inside the block, prints of the user's code go to stderr, since stdout is for our result. doing: `load`
    or `run`; it decides the exit code if that code ends the process.
    """
    claim_stdout()
    note(doing)
    return redirect_stdout(sys.stderr)


@contextmanager
def import_path(folder: Path | str) -> Iterator[None]:
    """Inside the block, the folder is first on the import path, where Python puts a script's folder."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


def _line_in_user_code(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f" at line {error.lineno}" if error.lineno else ""
    traceback, line = error.__traceback__, ""
    while traceback is not None:
        path = Path(traceback.tb_frame.f_code.co_filename)
        if path.exists() and _PACKAGE not in path.parents and "site-packages" not in path.parts:
            line = f" at {path.name}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return line


def _advice(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"install {error.name} in this environment"
    if isinstance(error, SystemExit):
        return 'put what should only run as a script under `if __name__ == "__main__":`'
    if "Only CUDA tensors are currently supported" in error_text(error):
        return "without a GPU leave that call out; --density 0.5 counts two weights of every four"
    return ""
