"""`--input`: shapes and dtypes of a forward's inputs, as plain data. This file needs no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from addercost.errors import ArgumentError, unknown_name

SHORT_DTYPES = {
    "fp64": "float64",
    "fp32": "float32",
    "fp16": "float16",
    "bf16": "bfloat16",
    "half": "float16",
    "float": "float32",
    "double": "float64",
    "long": "int64",
    "int": "int32",
}
DTYPES = (
    "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64", "complex128",
    "int64", "int32", "int16", "int8", "uint8", "bool", *SHORT_DTYPES,
)  # fmt: skip

_INPUT = re.compile(r"(?:(?P<name>[^=\s]+)=)?(?P<shape>scalar|\d+(?:[x,]\d+)*)(?::(?P<dtype>\w+))?")
_LARGEST = 1 << 62


@dataclass(frozen=True, slots=True)
class InputShape:
    """One input. name: None for the next one in order. dtype: torch's name."""

    name: str | None
    shape: tuple[int, ...]
    dtype: str = "float32"


def parse_input_shapes(texts: Sequence[str]) -> tuple[InputShape, ...]:
    """Parses texts such as `1x3x224x224`, `1x128:int64`, `mask=1x128:bool`. Raises ArgumentError for anything
    else.
    """
    parsed = tuple(map(_parsed, texts))
    names = [one.name for one in parsed if one.name is not None]
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError(f"--input {name} is given twice")
    return parsed


def _parsed(text: str) -> InputShape:
    match = _INPUT.fullmatch(text.strip())
    if match is None:
        raise ArgumentError(
            f"--input {text!r} is not a shape", "write it as 1x3x224x224, 1x128:int64 or mask=1x128:bool"
        )
    dtype = match["dtype"] or "float32"
    if dtype not in DTYPES:
        raise unknown_name("dtype", dtype, DTYPES)
    try:
        shape = () if match["shape"] == "scalar" else tuple(int(n) for n in re.split("[x,]", match["shape"]))
    except ValueError:
        # Python refuses to read integers of thousands of digits.
        shape = (_LARGEST + 1,)
    if math.prod(shape) > _LARGEST or any(n > _LARGEST for n in shape):
        raise ArgumentError(f"--input {text!r} has more elements than torch can address")
    return InputShape(match["name"], shape, SHORT_DTYPES.get(dtype, dtype))
