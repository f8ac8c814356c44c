"""Reads a TFLite file: its main graph, as plain data. Weights are not read.

The format consists of offsets into the file itself, which may point anywhere in a damaged or hostile file.
The package's classes read within the file or raise an exception. But they cannot know that lists may share
bytes. A correct file has bytes of its own for every element, so reading stops after as many elements as the
file has bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from addercost.errors import ArgumentError, DataError
from addercost.text import error_text

LARGEST_BYTES = 1 << 31
"""The largest offset in the format. A larger model keeps its weights after the rest, or in other files."""

IDENTIFIER = b"TFL3"

DTYPES = {
    "FLOAT32": "float32", "FLOAT16": "float16", "FLOAT64": "float64", "BFLOAT16": "bfloat16",
    "COMPLEX64": "complex64", "COMPLEX128": "complex128", "BOOL": "bool", "INT4": "int4", "INT8": "int8",
    "UINT8": "uint8", "INT16": "int16", "UINT16": "uint16", "INT32": "int32", "UINT32": "uint32",
    "INT64": "int64", "UINT64": "uint64", "STRING": "uint8", "RESOURCE": "uint8", "VARIANT": "uint8",
}  # fmt: skip
"""torch's names of the element types. Strings and handles get some type; nothing is counted for them."""


@dataclass(frozen=True, slots=True)
class FileTensor:
    """A tensor of the file. constant: its values are in the file. open: one of its sizes may change, and is 1
    here.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    constant: bool
    open: bool


@dataclass(frozen=True, slots=True)
class FileOperator:
    """op: the operator's name, such as "CONV_2D", or the name of a custom operator. inputs: indices of
    tensors, -1 for one that is left out. options: its settings by name.
    """

    op: str
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TfliteFile:
    """The main graph of a file. subgraphs: the number of graphs, including the main one."""

    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int
    version: int


def read_tflite(path: Path) -> TfliteFile:
    """Reads a file. Raises ArgumentError without the package `tflite`, and DataError for a file that is not a
    TFLite model.
    """
    try:
        import tflite
    except ImportError:
        raise ArgumentError(f"{path} needs the package tflite", "pip install 'addercost[tflite]'") from None
    try:
        if not path.is_file() or path.stat().st_size >= LARGEST_BYTES:
            raise DataError(f"{path} is no TFLite file", "a file of less than 2 GiB is expected")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    if data[4:8] != IDENTIFIER:
        raise DataError(f"{path} is not a TFLite model: it does not begin as one", "convert it again")
    try:
        return _Reading(tflite, data).file()
    except _DamagedError as error:
        raise DataError(f"{path} is damaged: {error}", "convert it again") from None
    except Exception as error:
        # Offsets that point outside the file cause exceptions of several kinds.
        text = error_text(error)[:200]
        raise DataError(f"{path} is damaged: {text}", "convert it again") from error


class _DamagedError(Exception):
    pass


class _Reading:
    def __init__(self, tflite: Any, data: bytes) -> None:
        self._tflite = tflite
        self._model = tflite.Model.GetRootAs(data, 0)
        self._left = len(data)
        self._operators = _names(tflite.BuiltinOperator)
        self._dtypes = _names(tflite.TensorType)

    def file(self) -> TfliteFile:
        model = self._model
        constants = self._list(model.BuffersLength(), lambda i: _has_data(model.Buffers(i)))
        codes = self._list(model.OperatorCodesLength(), self._code)
        if not model.SubgraphsLength():
            raise _DamagedError("it has no graph")
        graph = model.Subgraphs(0)
        tensors = self._list(graph.TensorsLength(), lambda i: self._tensor(graph.Tensors(i), constants))
        operators = self._list(
            graph.OperatorsLength(), lambda i: self._operator(graph.Operators(i), codes, len(tensors))
        )
        return TfliteFile(
            tensors,
            operators,
            self._positions(graph.InputsLength(), graph.Inputs, len(tensors), 0),
            self._positions(graph.OutputsLength(), graph.Outputs, len(tensors), 0),
            model.SubgraphsLength(),
            model.Version(),
        )

    def _list(self, length: int, item: Callable[[int], Any]) -> tuple[Any, ...]:
        self._left -= length
        if self._left < 0:
            raise _DamagedError("its lists have more elements than the file has bytes")
        return tuple([item(i) for i in range(length)])

    def _code(self, position: int) -> tuple[str, bool]:
        """(name, whether it is custom) of an operator. The older field for its code holds only numbers below
        127.
        """
        code = self._model.OperatorCodes(position)
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if number not in self._operators:
            raise _DamagedError(f"it has an operator of the unknown number {number}")
        if self._operators[number] == "CUSTOM":
            name = (code.CustomCode() or b"").decode("utf-8", "replace")[:100]
            return name or "unnamed", True
        return self._operators[number], False

    def _tensor(self, tensor: Any, constants: tuple[bool, ...]) -> FileTensor:
        shape = self._list(tensor.ShapeLength(), tensor.Shape)
        signature = self._list(tensor.ShapeSignatureLength(), tensor.ShapeSignature)
        if any(size < 0 for size in shape):
            raise _DamagedError("it has a tensor with a negative size")
        if tensor.Type() not in self._dtypes:
            raise _DamagedError(f"it has a tensor of the unknown type {tensor.Type()}")
        if not 0 <= tensor.Buffer() < max(len(constants), 1):
            raise _DamagedError("it has a tensor without a buffer")
        return FileTensor(
            (tensor.Name() or b"").decode("utf-8", "replace")[:400],
            shape,
            DTYPES[self._dtypes[tensor.Type()]],
            bool(constants) and constants[tensor.Buffer()],
            any(size < 0 for size in signature),
        )

    def _operator(self, operator: Any, codes: tuple[tuple[str, bool], ...], tensors: int) -> FileOperator:
        if operator.OpcodeIndex() >= len(codes):
            raise _DamagedError("it has an operator without a name")
        op, custom = codes[operator.OpcodeIndex()]
        return FileOperator(
            op,
            custom,
            self._positions(operator.InputsLength(), operator.Inputs, tensors, -1),
            self._positions(operator.OutputsLength(), operator.Outputs, tensors, 0),
            {} if custom else self._options(op, operator.BuiltinOptions()),
        )

    def _positions(
        self, length: int, item: Callable[[int], int], tensors: int, least: int
    ) -> tuple[int, ...]:
        found = self._list(length, item)
        if any(not least <= position < tensors for position in found):
            raise _DamagedError("it names a tensor that it does not have")
        return found

    def _options(self, op: str, table: Any) -> dict[str, int]:
        """The settings that a translator reads, by the name of the method that returns each."""
        entry = OPTIONS.get(op)
        if entry is None or table is None:
            return {}
        kind, names = entry
        options = getattr(self._tflite, kind)()
        options.Init(table.Bytes, table.Pos)
        # A bound of values is a float. It only matters whether it is 0.
        return {name: math.ceil(getattr(options, name)()) for name in names}


_ACTIVATION = ("FusedActivationFunction",)
_POOL = ("StrideH", "StrideW", "FilterHeight", "FilterWidth", *_ACTIVATION)
_LSTM = ("CellClip", "ProjClip", *_ACTIVATION)
OPTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "CONV_2D": ("Conv2DOptions", ("StrideH", "StrideW", *_ACTIVATION)),
    "CONV_3D": ("Conv3DOptions", ("StrideD", "StrideH", "StrideW", *_ACTIVATION)),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", ("StrideH", "StrideW", *_ACTIVATION)),
    "TRANSPOSE_CONV": ("TransposeConvOptions", ("StrideH", "StrideW", *_ACTIVATION)),
    "FULLY_CONNECTED": ("FullyConnectedOptions", _ACTIVATION),
    "BATCH_MATMUL": ("BatchMatMulOptions", ("AdjX", "AdjY")),
    "AVERAGE_POOL_2D": ("Pool2DOptions", _POOL),
    "MAX_POOL_2D": ("Pool2DOptions", _POOL),
    "ADD": ("AddOptions", _ACTIVATION),
    "SUB": ("SubOptions", _ACTIVATION),
    "MUL": ("MulOptions", _ACTIVATION),
    "DIV": ("DivOptions", _ACTIVATION),
    "CONCATENATION": ("ConcatenationOptions", _ACTIVATION),
    "SVDF": ("SVDFOptions", ("Rank", *_ACTIVATION)),
    "LSTM": ("LSTMOptions", _LSTM),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": ("UnidirectionalSequenceLSTMOptions", _LSTM),
    "BIDIRECTIONAL_SEQUENCE_LSTM": ("BidirectionalSequenceLSTMOptions", (*_LSTM, "MergeOutputs")),
    "RNN": ("RNNOptions", _ACTIVATION),
    "UNIDIRECTIONAL_SEQUENCE_RNN": ("SequenceRNNOptions", _ACTIVATION),
    "BIDIRECTIONAL_SEQUENCE_RNN": ("BidirectionalSequenceRNNOptions", (*_ACTIVATION, "MergeOutputs")),
    "GELU": ("GeluOptions", ("Approximate",)),
}
"""The package's class for an operator's settings, and which settings are read."""


def _names(enum: type) -> dict[int, str]:
    return {number: name for name, number in vars(enum).items() if isinstance(number, int)}


def _has_data(buffer: Any) -> bool:
    """Whether a buffer has bytes, either in the file's tables or after them."""
    return bool(buffer.DataLength()) or buffer.Size() > 0
