"""What is known about a tensor of the graph: its shape, its role and, if they are small, its data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from addercost.errors import DataError
from addercost.text import error_text
from addercost.trace.record import TensorSpec

if TYPE_CHECKING:
    import numpy as np
    from onnx import TensorProto, TypeProto

MOST_INTEGERS, MOST_FLOATS = 1 << 16, 64
"""The most integers, and the most floats, whose values are followed: enough for shapes, indices and scales,
not for weights.
"""

DTYPES = {
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "FLOAT16": "float16",
    "BFLOAT16": "bfloat16",
    "FLOAT8E4M3FN": "float8_e4m3fn",
    "FLOAT8E4M3FNUZ": "float8_e4m3fnuz",
    "FLOAT8E5M2": "float8_e5m2",
    "FLOAT8E5M2FNUZ": "float8_e5m2fnuz",
    "FLOAT8E8M0": "float8_e8m0fnu",
    "FLOAT4E2M1": "float4_e2m1fn",
    "COMPLEX64": "complex64",
    "COMPLEX128": "complex128",
    **{
        f"{sign}INT{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (2, 4, 8, 16, 32, 64)
    },
    "BOOL": "bool",
    "STRING": "uint8",
}
"""torch's names of the element types. Strings become uint8; nothing is counted for them."""


@dataclass(frozen=True, slots=True)
class Value:
    """What is known about a tensor.

    data: its values, where they are known. dequantized: for the output of a DequantizeLinear, the integers
    before it; a kernel may read these instead. complete: all of its sizes are known. An unknown size is 0.
    """

    spec: TensorSpec
    data: np.ndarray[Any, Any] | None = None
    dequantized: Value | None = None
    complete: bool = True

    def with_role(self, role: str, name: str) -> Value:
        return replace(self, spec=replace(self.spec, role=role, name=name))


def dtype_of(element_type: int) -> str:
    from onnx import TensorProto

    try:
        name: str = TensorProto.DataType.Name(element_type)
    except ValueError:
        raise DataError(f"the ONNX model has elements of the unknown type {element_type}") from None
    return DTYPES.get(name, name.lower())


def element_type_of(dtype: str) -> int:
    from onnx import TensorProto

    names = {ours: name for name, ours in DTYPES.items() if name != "STRING"}
    return int(TensorProto.DataType.Value(names[dtype]))


def of_initializer(tensor: TensorProto, role: str) -> Value:
    """A constant in the file. Its data are read if they are few and in the file itself."""
    from onnx import TensorProto, numpy_helper

    shape = tuple(tensor.dims)
    if any(size < 0 for size in shape):
        raise DataError(f"the ONNX model's tensor {tensor.name!r} has a negative size")
    dtype = dtype_of(tensor.data_type)
    data = None
    if tensor.data_location != TensorProto.EXTERNAL and _is_followed(dtype, math.prod(shape)):
        try:
            data = numpy_helper.to_array(tensor)
        except Exception as error:
            text = error_text(error)[:200]
            raise DataError(f"the ONNX model's tensor {tensor.name!r} is damaged: {text}") from error
    return Value(TensorSpec(shape, dtype, role, tensor.name), data)


def of_data(data: np.ndarray[Any, Any], dtype: str) -> Value:
    """A constant that was computed."""
    followed = data if _is_followed(dtype, data.size) else None
    return Value(TensorSpec(tuple(int(n) for n in data.shape), dtype, "constant"), followed)


def _is_followed(dtype: str, numel: int) -> bool:
    whole = dtype.startswith(("int", "uint", "bool"))
    return numel <= (MOST_INTEGERS if whole else MOST_FLOATS)


def of_type(kind: TypeProto | None, role: str, name: str = "", dtype: str = "float32") -> Value:
    """What shape inference found. A size that it did not find is 0, and the value is then incomplete."""
    if kind is None or not kind.HasField("tensor_type"):
        return Value(TensorSpec((0,), dtype, role, name), complete=False)
    tensor = kind.tensor_type
    if tensor.elem_type:
        dtype = dtype_of(tensor.elem_type)
    if not tensor.HasField("shape"):
        return Value(TensorSpec((0,), dtype, role, name), complete=False)
    known = [dim.HasField("dim_value") and dim.dim_value >= 0 for dim in tensor.shape.dim]
    shape = tuple(dim.dim_value if known[i] else 0 for i, dim in enumerate(tensor.shape.dim))
    return Value(TensorSpec(shape, dtype, role, name), complete=all(known))


def type_of(value: Value) -> TypeProto:
    """The type of a value, for shape inference. Unknown sizes stay open."""
    from onnx import helper

    spec = value.spec
    shape = spec.shape if value.complete else [n or None for n in spec.shape]
    return helper.make_tensor_type_proto(element_type_of(spec.dtype), shape)


def output_role(inputs: Sequence[Value], keeps_role: bool) -> tuple[str, str]:
    """(role, name) of what is computed from `inputs`.

    From parameters and constants alone it is "derived" and has the name of the first parameter. A view of a
    parameter stays a parameter.
    """
    source: TensorSpec | None = None
    for value in inputs:
        spec = value.spec
        if spec.role in ("parameter", "derived"):
            source = source or spec
        elif spec.role not in ("constant", "buffer"):
            return "activation", ""
    if source is None:
        return ("constant" if inputs else "activation"), ""
    return (source.role, source.name) if keeps_role else ("derived", source.name)
