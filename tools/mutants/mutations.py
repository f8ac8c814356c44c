"""The small changes of a file that a test should notice, made by cosmic-ray."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider

_BINARY = ("Add_Sub", "Sub_Add", "Mul_Add", "Mul_FloorDiv", "Div_Mul", "FloorDiv_Mul", "Mod_Mul", "Pow_Mul",
           "BitOr_BitAnd", "BitAnd_BitOr", "BitXor_BitOr", "RShift_LShift", "LShift_RShift")  # fmt: skip
_COMPARISON = ("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt",
               "GtE_Lt", "Is_IsNot", "IsNot_Is")  # fmt: skip
OPERATORS = (
    *(f"ReplaceBinaryOperator_{pair}" for pair in _BINARY),
    *(f"ReplaceComparisonOperator_{pair}" for pair in _COMPARISON),
    "ReplaceUnaryOperator_Delete_USub",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ZeroIterationForLoop",
    "AddNot",
    "NumberReplacer",
    "RemoveDecorator",
)
"""One or two replacements of each operator. A test that notices one of a dozen notices most of the others."""


Place = tuple[str, str, int]
"""A function's file (absolute), qualified name and first line, as its code has them."""
Span = tuple[int, int]
"""First and last line."""


@dataclass(frozen=True, slots=True)
class Around:
    """The outermost function that has a mutant in its body."""

    place: Place
    body: Span


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file. lines: the lines of the changed statement, without statements inside it. For a
    change of a function's decorators or parameters, the lines of the function. Outside of functions, lines
    are (0, 0) and around is None.
    """

    file: str
    operator: str
    occurrence: int
    line: int
    lines: Span
    around: Around | None


def mutants_of(file: Path) -> Iterator[Mutant]:
    """The mutants of a file, without those that no run evaluates and those that only change the speed."""
    source = file.read_text(encoding="utf-8")
    tree, provider = get_ast(source), OperatorProvider()
    plain = ast.parse(source)
    silent = [_extent(node) for node in _silent(plain)]
    for name in OPERATORS:
        operator = provider[name]()
        positions = (start for node in ast_nodes(tree) for start, _ in operator.mutation_positions(node))
        for occurrence, start in enumerate(positions):
            if not any(first <= start < last for first, last in silent):
                yield Mutant(str(file), name, occurrence, start[0], *_lines_around(plain, start[0], file))


def _silent(tree: ast.AST) -> Iterator[ast.AST]:
    """The extents that are left out: annotations and their imports, which no run evaluates; `slots` of a data
    class and caches of functions, which do not change results; `strict=True` of `zip`, which only ends a run
    whose lengths are wrong already.
    """
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if isinstance(found := getattr(node, name, None), ast.expr):
                yield found
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield node
        if isinstance(node, ast.keyword) and (node.arg == "slots" or ast.unparse(node) == "strict=True"):
            yield node
        yield from _caches(node)


def _caches(node: ast.AST) -> list[ast.expr]:
    """The decorators that cache a function's results."""
    names = ("cache", "lru_cache")
    decorators = getattr(node, "decorator_list", ())
    return [one for one in decorators if ast.unparse(one).removeprefix("functools.").startswith(names)]


def _extent(node: Any) -> tuple[Span, Span]:
    """Where the node starts and ends, each as (line, column); a decorator starts with its @."""
    return (node.lineno, max(node.col_offset - 1, 0)), (node.end_lineno, node.end_col_offset)


_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _lines_around(tree: ast.Module, line: int, file: Path) -> tuple[Span, Around | None]:
    around = sorted((node for node in _statements(tree) if _start(node) <= line <= _end(node)), key=_start)
    functions = [node for node in around if isinstance(node, _Function)]
    if not functions:
        return (0, 0), None
    lines = _own_lines(around[-1])
    if not lines[0] <= line <= lines[1]:
        lines = (_start(around[-1]), _end(around[-1]))
    outermost = functions[0]
    if line < outermost.body[0].lineno:
        return lines, None
    classes = itertools.takewhile(lambda node: node is not outermost, around)
    name = ".".join([*(node.name for node in classes if isinstance(node, ast.ClassDef)), outermost.name])
    body = outermost.body[0].lineno, _end(outermost)
    return lines, Around((str(file.resolve()), name, _start(outermost)), body)


def _own_lines(node: ast.stmt) -> Span:
    """The lines of a statement without those of the statements inside it; of a function, all of them."""
    inner = [one for one in _statements(node) if one is not node]
    if not inner or isinstance(node, _Function):
        return _start(node), _end(node)
    return _start(node), max(_start(node), min(map(_start, inner)) - 1)


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.stmt))


def _start(node: ast.stmt) -> int:
    """The first line of a node, with its decorators."""
    return min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])


def _end(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def mutated(mutant: Mutant) -> str:
    """The file's text with the change made."""
    source = Path(mutant.file).read_text(encoding="utf-8")
    changed: str | None = mutate_code(source, OperatorProvider()[mutant.operator](), mutant.occurrence)
    assert changed is not None, mutant
    return changed


def changed_lines(mutant: Mutant) -> tuple[str, str]:
    """(the line before the change, the line after), without indentation. The line after is "" where a
    decorator was removed.
    """
    before = Path(mutant.file).read_text(encoding="utf-8").splitlines()
    after = mutated(mutant).splitlines()
    if len(before) != len(after):
        return before[mutant.line - 1].strip(), ""
    for old, new in zip(before, after, strict=True):
        if old != new:
            return old.strip(), new.strip()
    return before[mutant.line - 1].strip(), before[mutant.line - 1].strip()
