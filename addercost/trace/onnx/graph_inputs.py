"""The shapes of a graph's inputs: as in the file, where sizes that the file leaves open are filled in from
`--input`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from addercost.errors import ArgumentError
from addercost.trace.input_shapes import InputShape
from addercost.trace.onnx.values import of_type
from addercost.trace.record import TensorSpec

if TYPE_CHECKING:
    from onnx import ValueInfoProto


def input_specs(
    infos: Sequence[ValueInfoProto], given: Sequence[InputShape], where: str, batch: int = 1
) -> tuple[TensorSpec, ...]:
    """The specs of the inputs `infos`, in order.

    where: the file, for errors. batch: multiplies those first sizes that are open. Raises ArgumentError where
    a size stays open, where a given shape does not fit, or for a batch with a graph whose first sizes are
    fixed.
    """
    by_name = {one.name: one for one in given if one.name is not None}
    in_order = [one for one in given if one.name is None]
    names = [info.name for info in infos]
    unknown = [name for name in by_name if name not in names]
    if unknown or len(in_order) > len(infos):
        extra = repr(unknown[0]) if unknown else f"number {len(infos) + 1}"
        raise ArgumentError(f"{where} has no input {extra}", f"its inputs are {', '.join(names) or 'none'}")
    specs = []
    for position, info in enumerate(infos):
        one = by_name.get(info.name) or (in_order[position] if position < len(in_order) else None)
        spec = _input_spec(info, one, where)
        if batch > 1 and _first_is_open(info):
            spec = replace(spec, shape=(spec.shape[0] * batch, *spec.shape[1:]))
        specs.append(spec)
    if batch > 1 and not any(map(_first_is_open, infos)):
        raise ArgumentError(
            f"the inputs of {where} have fixed sizes, so --batch cannot change them",
            "export the model with a dynamic first axis",
        )
    return tuple(specs)


def _first_is_open(info: ValueInfoProto) -> bool:
    dims = list(info.type.tensor_type.shape.dim) if info.type.HasField("tensor_type") else []
    return bool(dims) and dims[0].dim_value <= 0


def _input_spec(info: ValueInfoProto, given: InputShape | None, where: str) -> TensorSpec:
    declared = of_type(info.type, "input")
    dims = list(info.type.tensor_type.shape.dim) if info.type.HasField("tensor_type") else []
    sizes = [dim.dim_value if dim.dim_value > 0 else None for dim in dims]
    if given is None:
        if not declared.complete or None in sizes:
            shape = "x".join(
                str(size) if size else (dim.dim_param or "?") for size, dim in zip(sizes, dims, strict=True)
            )
            filled = "x".join(str(size or 1) for size in sizes)
            raise ArgumentError(
                f"input {info.name!r} of {where} leaves sizes open: {shape}",
                f"give --input {info.name}={filled} with the sizes that you want",
            )
        return declared.spec
    fits = len(sizes) == len(given.shape) and all(
        size in (None, n) for size, n in zip(sizes, given.shape, strict=True)
    )
    if not fits and info.type.tensor_type.HasField("shape"):
        shape = "x".join(
            str(size) if size else (dim.dim_param or "?") for size, dim in zip(sizes, dims, strict=True)
        )
        raise ArgumentError(
            f"input {info.name!r} of {where} is {shape}, not {'x'.join(map(str, given.shape))}",
            "give sizes for those that are letters, and leave the others",
        )
    return TensorSpec(given.shape, declared.spec.dtype, "input")
