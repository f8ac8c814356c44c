"""Checks the graph of an exported program before torch reads it, and removes entries that are not needed.

The checks are needed because torch makes Python code from a graph and copies names of values and layers into
it. It compiles sizes as expressions, accepts any function below `torch` as an operator, and imports modules
that the nesting of arguments names.
"""

from __future__ import annotations

import ast
import json
import re
from functools import reduce
from typing import Any

_LONGEST_EXPRESSION = 20_000
_LARGEST_POWER, _MOST_POWERS, _LARGEST_NUMBER = 64, 2, 1 << 63
_TEXTS = frozenset(("as_string", "as_strings", "string_value"))
"""Kinds of arguments that are texts. torch writes them into its code as literals."""
_NAMES = frozenset((
    "name", "as_name", "forward_arg_names", "tensor_values", "sym_int_values", "sym_float_values",
    "sym_bool_values", "custom_obj_values", "range_constraints",
))  # fmt: skip
"""Entries whose texts or keys become names of values in that code."""
_TREES = frozenset(("in_spec", "out_spec"))
_NAME = re.compile(r"(?!\d)\w*")
_PLAIN = re.compile(r"[^\"'\\\n\r\0]*")
_OPERATOR = re.compile(r"torch\.ops(\.(?!__)\w+){2,3}|torch\._?sym_\w+|math\.(?!_)\w+"
                       r"|_operator\.(?!attrgetter|methodcaller|call|__)\w+")  # fmt: skip
_FILES = re.compile(r"torch\.ops\.(aten\.(from_file|save)|debugprims\.\w+)\b.*")
"""Operators that read or write files."""

_FUNCTIONS = frozenset((
    "Abs", "Add", "And", "BooleanFalse", "BooleanTrue", "CeilDiv", "CeilToInt", "CleanDiv", "Dummy", "Eq",
    "Equality", "False", "Float", "FloatPow", "FloatTrueDiv", "FloorDiv", "FloorToInt", "Ge", "GreaterThan",
    "Gt", "Identity", "IntTrueDiv", "Integer", "IsNonOverlappingAndDenseIndicator", "LShift", "Le",
    "LessThan", "Lt", "Max", "Min", "Mod", "ModularIndexing", "Mul", "Ne", "Not", "OpaqueUnaryFn_sqrt",
    "Or", "Pow", "PowByNatural", "PythonMod", "RShift", "Rational", "RoundDecimal", "RoundToInt",
    "StrictGreaterThan", "StrictLessThan", "Symbol", "ToFloat", "True", "TruncToFloat", "TruncToInt",
    "Unequality", "Where", "ceiling", "false", "floor", "oo", "true", "zoo",
))  # fmt: skip
"""Functions that torch uses in the size of a tensor, besides symbols such as s0."""
_POWERS = frozenset(("Pow", "FloatPow", "PowByNatural", "LShift"))
_SYMBOL = re.compile(r"[a-z]{1,8}[0-9]{1,9}")
_DIGITS = re.compile(r"[-+]?[0-9.]{1,30}(e[-+]?[0-9]{1,3})?")
_ARITHMETIC = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.keyword,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip


class UnsafeGraphError(Exception):
    """The graph could run code. The message says why."""


def checked_graph(program: Any) -> Any:
    """The JSON of an exported program without two kinds of entries: those on the program's origin, and those
    that torch would compile. Raises UnsafeGraphError.
    """
    _strip(program)
    # Without recursion, since hostile files may be nested deeply.
    waiting = [("", program)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            for name, item in value.items():
                _check_text("name" if key in _NAMES else "", name)
                waiting.append((name, item))
        elif isinstance(value, list):
            waiting.extend((key, item) for item in value)
        elif isinstance(value, str):
            _check_text(key, value)
    return program


def _strip(program: Any) -> None:
    program["guards_code"] = []
    module = program["graph_module"]
    module["metadata"] = {}
    waiting = [module]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(metadata := value.get("metadata"), dict):
                value["metadata"] = {k: metadata[k] for k in ("nn_module_stack",) if k in metadata}
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_text(key: str, text: str) -> None:
    """Raises UnsafeGraphError for a text that is not allowed in this entry. key: the entry's name."""
    if key in _TEXTS:
        return
    if key == "expr_str":
        if not is_arithmetic(text):
            raise UnsafeGraphError(f"its graph has the size {text[:80]}, which is no arithmetic")
    elif key in ("target", "as_operator"):
        if not _is_operator(text):
            raise UnsafeGraphError(f"its graph calls {text[:80]}, which is no operator")
    elif key in _TREES:
        _check_tree(text)
    elif not (_NAME if key in _NAMES else _PLAIN).fullmatch(text):
        raise UnsafeGraphError(f"its graph has the name {text[:80]}, which would become code")


def _is_operator(target: str) -> bool:
    """Whether the name is that of an existing operator, and not of a function or another object of torch."""
    if not _OPERATOR.fullmatch(target) or _FILES.fullmatch(target):
        return False
    if not target.startswith("torch.ops."):
        return True
    import torch
    from torch._ops import HigherOrderOperator, OpOverload, OpOverloadPacket

    try:
        found = reduce(getattr, target.split(".")[1:], torch)
    except AttributeError:
        return True  # torch has no operator of this name
    return isinstance(found, HigherOrderOperator | OpOverload | OpOverloadPacket)


def _check_tree(text: str) -> None:
    """Checks how arguments are nested: the text is JSON, and its contexts are JSON texts themselves."""
    try:
        waiting = [json.loads(text)]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                context = value.pop("context", None)
                waiting += [*value, *value.values()]
                waiting.append(json.loads(context) if isinstance(context, str) else context)
            elif isinstance(value, list):
                waiting.extend(value)
            elif isinstance(value, str) and (
                not _PLAIN.fullmatch(value) or value in ("__enum__", "default_factory_module")
            ):
                raise UnsafeGraphError(f"its arguments are nested by {value[:80]}, which would become code")
    except (ValueError, RecursionError):
        raise UnsafeGraphError("how its arguments are nested is no JSON") from None


def is_arithmetic(text: str) -> bool:
    """Whether a size is computed from symbols and numbers by arithmetic alone, and has at most a few thousand
    digits.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval") if len(text) <= _LONGEST_EXPRESSION else None
        return (
            tree is not None and all(map(_is_term, ast.walk(tree))) and _nested_powers(tree) <= _MOST_POWERS
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _is_term(node: ast.AST) -> bool:
    match node:
        case ast.Name(id=name):
            return name in _FUNCTIONS or _SYMBOL.fullmatch(name) is not None
        case ast.Call(func=function):
            return isinstance(function, ast.Name)
        case ast.Constant(value=str(value)):
            return bool(_SYMBOL.fullmatch(value) or _DIGITS.fullmatch(value))
        case ast.Constant(value=value):
            return isinstance(value, int | float) and abs(value) < _LARGEST_NUMBER
        case ast.keyword(value=ast.Constant(value=value)):
            return isinstance(value, int) and value < 1000
        case ast.keyword():
            return False
    return isinstance(node, _ARITHMETIC)


def _nested_powers(node: ast.AST) -> int:
    """How deeply powers are nested. A large exponent, or one that is no number, counts as too deep."""
    inside = max((_nested_powers(child) for child in ast.iter_child_nodes(node)), default=0)
    match node:
        case ast.BinOp(op=ast.Pow() | ast.LShift(), right=exponent):
            pass
        case ast.Call(func=ast.Name(id=name), args=[_, exponent]) if name in _POWERS:
            pass
        case ast.Call(func=ast.Name(id=name)) if name in _POWERS:
            return _MOST_POWERS + 1
        case _:
            return inside
    return inside + 1 if abs(_literal(exponent)) <= _LARGEST_POWER else _MOST_POWERS + 1


def _literal(node: ast.AST) -> float:
    """The number of a literal; infinity for any other expression."""
    match node:
        case ast.Constant(value=int(value) | float(value)):
            return value
        case ast.Constant(value=str(value)):
            return float(value) if _DIGITS.fullmatch(value) else float("inf")
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_literal(inner)
        case ast.Call(func=ast.Name(id="Integer" | "Float"), args=[inner]):
            return _literal(inner)
        case ast.Call(func=ast.Name(id="Rational"), args=[_, _]):
            return 1 if all(abs(_literal(each)) <= _LARGEST_POWER for each in node.args) else float("inf")
    return float("inf")
