"""Small TFLite files, made with the package's own builder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import tflite


@dataclass(frozen=True)
class Tensor:
    """weights: bytes of a constant, of which only the number matters."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "INT8"
    weights: int = 0
    signature: tuple[int, ...] = ()


@dataclass(frozen=True)
class Op:
    """options: (class of the package's options, settings)."""

    name: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: tuple[str, dict[str, int]] | None = None
    custom: str = ""


@dataclass(frozen=True)
class Graph:
    tensors: Sequence[Tensor]
    operators: Sequence[Op]
    inputs: Sequence[int] = (0,)
    outputs: Sequence[int] = field(default=(-1,))

    def data(self) -> bytes:
        b = flatbuffers.Builder(1024)
        buffers = [self._table(b, "Buffer", {})]
        places = []
        for tensor in self.tensors:
            places.append(len(buffers) if tensor.weights else 0)
            if tensor.weights:
                buffers.append(self._table(b, "Buffer", {"Data": b.CreateByteVector(bytes(tensor.weights))}))
        tensors = [
            self._table(
                b,
                "Tensor",
                {
                    "Shape": _integers(b, tensor.shape),
                    "Type": getattr(tflite.TensorType, tensor.dtype),
                    "Buffer": place,
                    "Name": b.CreateString(tensor.name),
                    **({"ShapeSignature": _integers(b, tensor.signature)} if tensor.signature else {}),
                },
            )
            for tensor, place in zip(self.tensors, places, strict=True)
        ]
        names = list(dict.fromkeys((op.name, op.custom) for op in self.operators))
        codes = []
        for name, custom in names:
            number = getattr(tflite.BuiltinOperator, name)
            fields: dict[str, Any] = {"DeprecatedBuiltinCode": min(number, 127), "BuiltinCode": number}
            if custom:
                fields["CustomCode"] = b.CreateString(custom)
            codes.append(self._table(b, "OperatorCode", fields))
        operators = []
        for op in self.operators:
            fields = {
                "OpcodeIndex": names.index((op.name, op.custom)),
                "Inputs": _integers(b, op.inputs),
                "Outputs": _integers(b, op.outputs),
            }
            if op.options is not None:
                kind, settings = op.options
                fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, kind)
                fields["BuiltinOptions"] = self._table(b, kind, settings)
            operators.append(self._table(b, "Operator", fields))
        last = len(self.tensors) - 1
        graph = self._table(
            b,
            "SubGraph",
            {
                "Tensors": _tables(b, tensors),
                "Inputs": _integers(b, self.inputs),
                "Outputs": _integers(b, [last if i < 0 else i for i in self.outputs]),
                "Operators": _tables(b, operators),
            },
        )
        model = self._table(
            b,
            "Model",
            {
                "Version": 3,
                "OperatorCodes": _tables(b, codes),
                "Subgraphs": _tables(b, [graph]),
                "Buffers": _tables(b, buffers),
            },
        )
        b.Finish(model, file_identifier=b"TFL3")
        return bytes(b.Output())

    def write(self, folder: Path) -> Path:
        path = folder / "model.tflite"
        path.write_bytes(self.data())
        return path

    @staticmethod
    def _table(b: flatbuffers.Builder, kind: str, fields: dict[str, Any]) -> int:
        getattr(tflite, f"{kind}Start")(b)
        for name, value in fields.items():
            getattr(tflite, f"{kind}Add{name}")(b, value)
        return int(getattr(tflite, f"{kind}End")(b))


def _integers(b: flatbuffers.Builder, values: Sequence[int]) -> int:
    b.StartVector(4, len(values), 4)
    for value in reversed(values):
        b.PrependInt32(value)
    return int(b.EndVector())


def _tables(b: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())
