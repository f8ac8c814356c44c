"""Refuses `program.pt2` files that would run code when torch reads them.

A pickle can call any function, and torch unpickles what its safe reader refuses. It also compiles the sizes
that a graph names as Python expressions, resolves an operator by any name below `torch`, imports modules that
a structure of arguments names, and loads compiled libraries. So each part is checked before torch sees the
file. `--trust` leaves the checks out, and so does the environment variable ADDERCOST_TRUST=1."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from addercost.errors import DataError

VARIABLE = "ADDERCOST_TRUST"

_MOST_PARTS = 1_000_000
_LARGEST_JSON_BYTES = 1 << 30
_MOST_GROWTH = 200
"""Times that an archive may become larger when it is unpacked: torch stores its parts as they are."""

_PLAIN = re.compile(
    r"data/weights/(weight_\d+|[\w.-]+_config\.json)"
    r"|data/constants/(tensor_\d+|[\w.-]+_config\.json)"
    r"|data/sample_inputs/[\w.-]+\.pt"
    r"|models/[\w.-]+\.json"
    r"|archive_(format|version)|version|byteorder|\.data/[\w.-]+|\.format_version|extra/.*"
    r"|serialized_\w+\.(json|pt)"
)
"""Parts of which torch reads tensors and JSON. Its compiled models and pickled objects have other names."""

_TENSORS = re.compile(r"data/sample_inputs/[\w.-]+\.pt|serialized_\w+\.pt")
_OPERATOR = re.compile(
    r"torch\.ops\.(?!_)\w+\.\w+(\.(?!__)\w+)?|torch\._?sym_\w+|math\.(?!_)\w+"
    r"|_operator\.(?!attrgetter|methodcaller|call|__)\w+|#\w+:\w+"
)
_EXPRESSION = re.compile(r"[\w\s+\-*/%(),.<>=&|~]*")
_SYMBOL = re.compile(r"(?<![\w.])[^\W\d]\w*")
_FUNCTIONS = frozenset((
    "Abs", "Add", "And", "BooleanFalse", "BooleanTrue", "CeilDiv", "CeilToInt", "CleanDiv", "Dummy", "Eq",
    "Equality", "False", "Float", "FloatPow", "FloatTrueDiv", "FloorDiv", "FloorToInt", "Ge", "GreaterThan",
    "Gt", "Identity", "IntTrueDiv", "Integer", "IsNonOverlappingAndDenseIndicator", "LShift", "Le",
    "LessThan", "Lt", "Max", "Min", "Mod", "ModularIndexing", "Mul", "Ne", "Not", "OpaqueUnaryFn_sqrt",
    "Or", "Pow", "PowByNatural", "PythonMod", "RShift", "Rational", "RoundDecimal", "RoundToInt",
    "StrictGreaterThan", "StrictLessThan", "Symbol", "ToFloat", "True", "TruncToFloat", "TruncToInt",
    "Unequality", "Where", "ceiling", "commutative", "complex", "evaluate", "even", "extended_real",
    "false", "finite", "floor", "infinite", "integer", "negative", "nonnegative", "nonpositive", "nonzero",
    "odd", "oo", "positive", "precision", "real", "true", "zero",
))  # fmt: skip
"""What torch writes into the size of a tensor beside symbols such as s0, and what it says of a symbol."""
_QUOTED = re.compile(r"(?<=Symbol\()'[a-z]{1,8}\d+'|(?<=Dummy\()'[a-z]{1,8}\d+'|(?<=Float\()'[-+.\de]+'")
"""The texts that such a size may have: names of symbols, and digits."""

_SIZE = re.compile(r"[a-z]{1,4}\d+")
_SPECS = frozenset(("in_spec", "out_spec", "forward_arg_names", "treespec", "tree_spec"))


def check_archive(file: Path, opened: BinaryIO) -> None:
    """Raises DataError where reading the opened file, called `file`, would run code or fill the memory."""
    if os.environ.get(VARIABLE) == "1":
        return
    try:
        with zipfile.ZipFile(opened) as archive:
            _check_parts(file, archive, os.fstat(opened.fileno()).st_size)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError) as error:
        # zipfile raises RuntimeError for what is encrypted or packed in a way that it does not know.
        raise DataError(
            f"{file} is not an exported program: {error}",
            "make it with torch.export.save(torch.export.export(model, inputs), file)",
        ) from None


def _check_parts(file: Path, archive: zipfile.ZipFile, size_bytes: int) -> None:
    parts = archive.infolist()
    unpacked = sum(part.file_size for part in parts)
    if len(parts) > _MOST_PARTS or unpacked > _MOST_GROWTH * max(size_bytes, 1):
        raise _refused(file, "its parts are far larger than it")
    for part in parts:
        # Newer archives have all parts in one folder, which has any name.
        if part.is_dir():
            continue
        names = (part.filename, part.filename.partition("/")[2])
        name = next((each for each in names if _PLAIN.fullmatch(each)), None)
        if name is None or ".." in name:
            raise _refused(file, f"its part {part.filename} may hold compiled code")
        if _TENSORS.fullmatch(name):
            _check_pickle(file, part.filename, archive.read(part))
        elif name.endswith(".json"):
            if part.file_size > _LARGEST_JSON_BYTES:
                raise _refused(file, f"its part {part.filename} is larger than a graph can be")
            _check_json(file, part.filename, archive.read(part))


def _check_pickle(file: Path, part: str, data: bytes) -> None:
    """torch's safe reader takes tensors and containers of them and calls nothing else."""
    import torch

    try:
        torch.load(io.BytesIO(data), map_location="meta", weights_only=True)
    except Exception:
        # torch's reader raises errors of any class for a hostile pickle.
        raise _refused(file, f"its part {part} is a pickle of more than tensors") from None


def _check_json(file: Path, part: str, data: bytes) -> None:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: its part {part} is no JSON: {error}") from None
    for key, value in _entries(values):
        if key == "use_pickle" and value:
            raise _refused(file, f"its part {part} names pickles")
        if not isinstance(value, str):
            continue
        if key == "target" and "." in value and not _OPERATOR.fullmatch(value):
            raise _refused(file, f"its graph calls {value[:80]}, which is no operator")
        if key == "expr_str" and not _is_size(value):
            raise _refused(file, f"its graph has the size {value[:80]}, which is no arithmetic")
        if key in _SPECS and "__enum__" in value:
            raise _refused(file, "its arguments name a module to import")


def _is_size(text: str) -> bool:
    text = _QUOTED.sub("0", text)
    if not _EXPRESSION.fullmatch(text) or "__" in text:
        return False
    return all(
        name in _FUNCTIONS or _SIZE.fullmatch(name) for name in _SYMBOL.findall(text)
    ) and not re.search(r"\.\s*[^\W\d]", text)


def _entries(values: Any) -> Iterator[tuple[str, Any]]:
    """Every entry of every object inside, without recursion: files of others may be nested deeply."""
    waiting = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _refused(file: Path, why: str) -> DataError:
    return DataError(
        f"{file} could run code when it is read: {why}",
        "export the model yourself, or, if you trust who made the file, give --trust",
    )
