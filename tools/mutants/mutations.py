"""The small changes of a file that a test should notice, made by cosmic-ray."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
"""One or two replacements of each operator: a test that notices one of a dozen notices most of the others."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file. function: first and last line of the function around it; (0, 0) outside one."""

    file: str
    operator: str
    occurrence: int
    line: int
    function: tuple[int, int]


def mutants_of(file: Path) -> Iterator[Mutant]:
    """The mutants of a file, but for those in annotations, which no run evaluates."""
    source = file.read_text(encoding="utf-8")
    tree, provider = get_ast(source), OperatorProvider()
    plain = ast.parse(source)
    functions = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(plain)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    silent = list(_annotations(plain))
    for name in OPERATORS:
        operator = provider[name]()
        positions = (start for node in ast_nodes(tree) for start, _ in operator.mutation_positions(node))
        for occurrence, start in enumerate(positions):
            if any(first <= start < last for first, last in silent):
                continue
            line = start[0]
            around = [f for f in functions if f[0] <= line <= f[1]]
            yield Mutant(str(file), name, occurrence, line, max(around, default=(0, 0)))


def _annotations(tree: ast.AST) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where each annotation starts and ends, as (line, column)."""
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            found = getattr(node, name, None)
            if isinstance(found, ast.expr):
                yield (
                    (found.lineno, found.col_offset),
                    (found.end_lineno or found.lineno, found.end_col_offset or 0),
                )


def mutated(mutant: Mutant) -> str:
    """The file's text with the change made."""
    source = Path(mutant.file).read_text(encoding="utf-8")
    changed: str | None = mutate_code(source, OperatorProvider()[mutant.operator](), mutant.occurrence)
    assert changed is not None, mutant
    return changed


def changed_lines(mutant: Mutant) -> tuple[str, str]:
    """The line before and after, without indentation. A decorator that was removed leaves "" behind."""
    before = Path(mutant.file).read_text(encoding="utf-8").splitlines()
    after = mutated(mutant).splitlines()
    if len(before) != len(after):
        return before[mutant.line - 1].strip(), ""
    for old, new in zip(before, after, strict=True):
        if old != new:
            return old.strip(), new.strip()
    return before[mutant.line - 1].strip(), before[mutant.line - 1].strip()
