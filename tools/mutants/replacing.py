"""Two ways to make a process run a mutant: before it imports the file, and after."""

from __future__ import annotations

import gc
import importlib.machinery
from collections import defaultdict
from collections.abc import Iterator
from types import CodeType, FunctionType

from tools.mutants.mutations import Place


def replace_source(file: str, source: str) -> None:
    """Makes this process import `source` in place of the content of `file`. The file is not changed."""
    usual = importlib.machinery.SourceFileLoader.get_code

    def get_code(self: importlib.machinery.SourceFileLoader, name: str) -> CodeType | None:
        path = self.get_filename(name)
        return compile(source, path, "exec") if path == file else usual(self, name)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign]


def functions_by_place(files: set[str]) -> dict[Place, list[FunctionType]]:
    """Every function of the files that exists in this process."""
    # tests/conftest.py freezes what was imported, and the collector does not list what is frozen.
    gc.unfreeze()
    found: dict[Place, list[FunctionType]] = defaultdict(list)
    for one in gc.get_objects():
        # isinstance would ask a weak proxy for the class of its object, which may no longer exist.
        if type(one) is FunctionType and one.__code__.co_filename in files:
            found[_place(one.__code__)].append(one)
    return found


def replace_function(functions: list[FunctionType], place: Place, source: str) -> None:
    """Makes the functions at `place` run the code that `source` has there. Raises LookupError where it has
    none.
    """
    for code in _codes(compile(source, place[0], "exec")):
        if _place(code) == place:
            for function in functions:
                function.__code__ = code
            return
    raise LookupError(place)


def _place(code: CodeType) -> Place:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)
