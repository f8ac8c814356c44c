"""The trace of a TFLite file: the operators of its main graph in order, as calls of torch's operators."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from addercost.errors import ArgumentError
from addercost.trace.input_shapes import InputShape
from addercost.trace.record import BUFFER, INPUT, PARAMETER, OpCall, Storage, TensorSpec, Trace
from addercost.trace.tflite.model_file import FileOperator, FileTensor, TfliteFile, read_tflite
from addercost.trace.tflite.node import TfliteNode
from addercost.trace.tflite.operators import TRANSLATORS, VIEWS

_WEIGHTS = {
    "CONV_2D": (1, 2), "CONV_3D": (1, 2), "DEPTHWISE_CONV_2D": (1, 2), "TRANSPOSE_CONV": (1, 3),
    "FULLY_CONNECTED": (1, 2), "SVDF": (1, 2, 3), "EMBEDDING_LOOKUP": (1,),
    "LSTM": (*range(1, 18), *range(20, 24)), "UNIDIRECTIONAL_SEQUENCE_LSTM": (*range(1, 18), *range(20, 24)),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (*range(1, 35), *range(40, 48)),
    "RNN": (1, 2, 3), "UNIDIRECTIONAL_SEQUENCE_RNN": (1, 2, 3),
    "BIDIRECTIONAL_SEQUENCE_RNN": (1, 2, 3, 5, 6, 7, 10, 11),
}  # fmt: skip
"""By operator: which of its inputs are parameters, including biases of integers."""

_PARAMETER_DTYPES = ("float", "bfloat", "int8", "uint8", "int4", "int16")
_UNSAFE = re.compile(r"[^\w.]+")


def trace_tflite(path: Path, inputs: Sequence[InputShape] = (), name: str | None = None) -> Trace:
    """The trace of a TFLite file.

    inputs: shapes that the graph's inputs must have, in order or by name, because the sizes in a file are
    fixed. Raises ArgumentError where they differ, and DataError for a damaged file.
    """
    file = read_tflite(path)
    _check_inputs(file, inputs, path)
    specs, parameters = _specs(file)
    calls: list[OpCall] = []
    modules = {"": ""}
    spans: list[tuple[FileOperator, int, int]] = []
    notes: dict[str, None] = {}
    for operator in file.operators:
        if _is_constant(operator, specs):
            # A runtime computes it once, when it loads the model.
            role = "parameter" if operator.op == "DEQUANTIZE" or operator.op in VIEWS else "derived"
            source = _source(operator, specs)
            for position in operator.outputs:
                specs[position] = replace(specs[position], role=role if source else "constant", name=source)
            continue
        module = _module(operator, file.tensors, modules)
        node = TfliteNode(
            operator,
            module,
            tuple(specs[i] if i >= 0 else None for i in operator.inputs),
            tuple(specs[i] for i in operator.outputs),
        )
        translator = None if operator.custom else TRANSLATORS.get(operator.op)
        begin = len(calls)
        calls += translator(node) if translator is not None else [node.uncounted()]
        spans.append((operator, begin, len(calls) - 1))
    if any(file.tensors[i].open for i in file.inputs):
        notes["sizes that the file leaves open, such as the batch, are counted as the 1 that it has"] = None
    if any(operator.op in ("IF", "WHILE", "STABLEHLO_WHILE") for operator in file.operators):
        notes["what an IF or WHILE runs is not counted"] = None
    return Trace(
        model=name or path.stem,
        calls=tuple(replace(call, index=i) for i, call in enumerate(calls)),
        modules=modules,
        parameters=parameters,
        inputs=tuple(specs[i] for i in file.inputs),
        tracer="meta",
        versions={"tflite": str(file.version)},
        notes=tuple(notes),
        storages=_storages(file, specs, spans),
    )


def _check_inputs(file: TfliteFile, given: Sequence[InputShape], path: Path) -> None:
    tensors = [file.tensors[i] for i in file.inputs]
    by_name = {tensor.name: tensor for tensor in tensors}
    in_order = iter(tensors)
    for one in given:
        tensor = by_name.get(one.name) if one.name is not None else next(in_order, None)
        if tensor is None or tensor.shape != one.shape:
            expected = ", ".join(f"{t.name}={'x'.join(map(str, t.shape))}" for t in tensors)
            raise ArgumentError(
                f"the sizes of {path} are fixed: its inputs are {expected}",
                "leave --input out, or convert the model with the sizes that you want",
            )


def _specs(file: TfliteFile) -> tuple[list[TensorSpec], dict[str, int]]:
    """(a spec for each tensor, the number of elements of each parameter by name)."""
    weights = {
        operator.inputs[place]
        for operator in file.operators
        for place in _WEIGHTS.get(operator.op, ())
        if place < len(operator.inputs)
    }
    specs: list[TensorSpec] = []
    parameters: dict[str, int] = {}
    for position, tensor in enumerate(file.tensors):
        spec = TensorSpec(tensor.shape, tensor.dtype, number=position + 1)
        if tensor.constant:
            name = f"{tensor.name or 'constant'}:{position}"
            is_weight = position in weights or (spec.numel > 1 and tensor.dtype.startswith(_PARAMETER_DTYPES))
            spec = replace(spec, role="parameter" if is_weight else "constant", name=name)
            if is_weight:
                parameters[name] = spec.numel
        elif position in file.inputs:
            spec = replace(spec, role="input")
        specs.append(spec)
    return specs, parameters


def _is_constant(operator: FileOperator, specs: Sequence[TensorSpec]) -> bool:
    given = [specs[i] for i in operator.inputs if i >= 0]
    fixed = ("parameter", "constant", "derived")
    return bool(given) and not operator.custom and all(spec.role in fixed for spec in given)


def _source(operator: FileOperator, specs: Sequence[TensorSpec]) -> str:
    """The name of the first parameter that a constant is computed from."""
    named = (specs[i].name for i in operator.inputs if i >= 0 and specs[i].role != "constant")
    return next(named, "")


def _module(operator: FileOperator, tensors: Sequence[FileTensor], modules: dict[str, str]) -> str:
    """A path for the operator, from the name of its first output. Adds it to `modules`."""
    name = tensors[operator.outputs[0]].name if operator.outputs else ""
    parts = [_UNSAFE.sub("_", part).strip("_") for part in name.partition(";")[0].split("/")]
    path = ".".join(part for part in parts if part) or operator.op.lower()
    unique, again = path, 2
    while unique in modules:
        unique, again = f"{path}_{again}", again + 1
    modules[unique] = operator.op
    return unique


def _storages(
    file: TfliteFile, specs: Sequence[TensorSpec], spans: Sequence[tuple[FileOperator, int, int]]
) -> tuple[Storage, ...]:
    """The memory of the graph's tensors. Each is in use from the operator that makes it to the last that
    reads it.
    """
    made: dict[int, Storage] = {}
    shared: dict[int, int] = {}
    for position, tensor in enumerate(file.tensors):
        if tensor.constant:
            kind = PARAMETER if specs[position].role == "parameter" else BUFFER
            made[position] = Storage(specs[position].n_bytes, kind)
        elif position in file.inputs:
            made[position] = Storage(specs[position].n_bytes, INPUT)
    for operator, begin, end in spans:
        given = [shared.get(position, position) for position in operator.inputs]
        if operator.op in VIEWS and given and operator.outputs:
            shared[operator.outputs[0]] = given[0]
        for position in given:
            if position in made and made[position].freed is not None:
                made[position] = replace(made[position], freed=max(end, begin))
        for position in operator.outputs:
            if position not in shared:
                made.setdefault(position, Storage(specs[position].n_bytes, made=begin, freed=max(end, begin)))
    for position in (shared.get(output, output) for output in file.outputs):
        if position in made:
            made[position] = replace(made[position], freed=None)
    return tuple(made.values())
