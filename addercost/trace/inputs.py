"""A forward's inputs, without data: parsed from `--input`, or taken from the model's file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from addercost.errors import ArgumentError, ModelError, unknown_name

_DTYPES: Mapping[str, torch.dtype] = {
    name: getattr(torch, name)
    for name in (
        "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64",
        "complex128", "int64", "int32", "int16", "int8", "uint8", "bool",
    )
} | {
    "fp64": torch.float64,
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "half": torch.float16,
    "float": torch.float32,
    "double": torch.float64,
    "long": torch.int64,
    "int": torch.int32,
}  # fmt: skip

_INPUT = re.compile(r"(?:(?P<name>[A-Za-z_]\w*)=)?(?P<shape>scalar|\d+(?:[x,]\d+)*)(?::(?P<dtype>\w+))?")
_LARGEST = 1 << 62


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """Positional and keyword arguments of a forward."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def parse_inputs(texts: Sequence[str]) -> ModelInputs:
    """`1x3x224x224`, `1x128:int64`, `mask=1x128:bool`: tensors on the meta device.

    Raises ArgumentError for anything else.
    """
    args: list[Tensor] = []
    kwargs: dict[str, Tensor] = {}
    for text in texts:
        match = _INPUT.fullmatch(text.strip())
        if match is None:
            raise ArgumentError(
                f"--input {text!r} is not a shape", "write it as 1x3x224x224, 1x128:int64 or mask=1x128:bool"
            )
        dtype = match["dtype"] or "float32"
        if dtype not in _DTYPES:
            raise unknown_name("dtype", dtype, _DTYPES)
        shape = [] if match["shape"] == "scalar" else [int(n) for n in re.split("[x,]", match["shape"])]
        if math.prod(shape) > _LARGEST or any(n > _LARGEST for n in shape):
            raise ArgumentError(f"--input {text!r} has more elements than torch can address")
        tensor = torch.empty(shape, dtype=_DTYPES[dtype], device="meta")
        if match["name"] is None:
            args.append(tensor)
        elif match["name"] in kwargs:
            raise ArgumentError(f"--input {match['name']} is given twice")
        else:
            kwargs[match["name"]] = tensor
    return ModelInputs(tuple(args), kwargs)


def one_image(shape: Sequence[int]) -> ModelInputs:
    """A forward's only argument: a tensor of that shape without data."""
    return ModelInputs((torch.empty(tuple(shape), device="meta"),))


def as_inputs(value: Any, where: str) -> ModelInputs:
    """`example_inputs` of a file: a tensor, a sequence of arguments, keyword arguments, or a function that
    returns one of these. where: the file, for errors. Raises ModelError for anything else.
    """
    if callable(value) and not isinstance(value, Tensor):
        value = value()
    if isinstance(value, ModelInputs):
        return value
    if isinstance(value, Tensor):
        return ModelInputs((value,))
    if isinstance(value, Mapping):
        return ModelInputs((), dict(value))
    if isinstance(value, list | tuple):
        return ModelInputs(tuple(value))
    raise ModelError(
        f"example_inputs of {where} is a {type(value).__name__}",
        "make it a tensor, a tuple of arguments or a dict of keyword arguments",
    )


def expected_input(model: nn.Module) -> str:
    """The shape that the first layer with weights takes, as an `--input` to fill in; "" if it is unknown."""
    for module in model.modules():
        match module:
            case nn.modules.conv._ConvNd():
                sizes = "x".join("DHW"[-(len(module.kernel_size)) :])
                return f"1x{module.in_channels}x{sizes}"
            case nn.Linear() | nn.Bilinear():
                features = module.in_features if isinstance(module, nn.Linear) else module.in1_features
                return f"1x{features}"
            case nn.Embedding() | nn.EmbeddingBag():
                return "1xT:int64"
            case nn.RNNBase():
                return f"1xTx{module.input_size}" if module.batch_first else f"Tx1x{module.input_size}"
            case nn.RNNCellBase():
                return f"1x{module.input_size}"
            case nn.MultiheadAttention():
                return f"Tx1x{module.embed_dim}"
            case nn.modules.batchnorm._BatchNorm():
                return f"1x{module.num_features}x…"
            case _:
                first = next(iter(module._parameters.values()), None)
                channels = getattr(module, "in_channels", None) or getattr(module, "in_features", None)
                if first is not None and isinstance(channels, int):
                    return f"1x{channels}" + ("xHxW" if first.dim() == 4 else "")
    return ""


def missing_inputs(spec: str, model: nn.Module) -> ArgumentError:
    """The error for a model without inputs, with the shape its first layer takes."""
    shape = expected_input(model)
    hint = f"its first layer takes {shape}: give --input {shape}" if shape else "give one --input an argument"
    return ArgumentError(
        f"no input given for {spec}", f"{hint} with sizes filled in, or set example_inputs in the file"
    )
