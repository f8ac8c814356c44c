"""A forward's inputs: made from the shapes of `--input` without data, or taken from the model's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils._pytree import tree_map

from addercost.errors import ArgumentError, ModelError
from addercost.text import error_text
from addercost.trace.input_shapes import InputShape


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """Positional and keyword arguments of a forward."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def without_data(shapes: Sequence[InputShape]) -> ModelInputs:
    """Tensors on the meta device. Shapes with a name become keyword arguments, the others positional ones in
    order.
    """
    tensors = [torch.empty(one.shape, dtype=getattr(torch, one.dtype), device="meta") for one in shapes]
    given = list(zip(shapes, tensors, strict=True))
    return ModelInputs(
        tuple(tensor for one, tensor in given if one.name is None),
        {one.name: tensor for one, tensor in given if one.name is not None},
    )


def shapes_of(inputs: ModelInputs) -> tuple[InputShape, ...]:
    """The shapes of the inputs, the reverse of `without_data`. Raises ArgumentError for an argument that is
    not a tensor.
    """
    named = [(None, value) for value in inputs.args] + list(inputs.kwargs.items())
    for name, value in named:
        if not isinstance(value, Tensor):
            raise ArgumentError(f"input {name or ''} is a {type(value).__name__}, not a tensor")
    return tuple(
        InputShape(name, tuple(value.shape), str(value.dtype).removeprefix("torch.")) for name, value in named
    )


def batched(value: Any, batch: int) -> Any:
    """The same structure, with every tensor repeated `batch` times along its first axis. A tensor without
    axes stays as it is. Raises ArgumentError for a tensor that cannot be repeated.
    """

    def repeated(item: Any) -> Any:
        if not isinstance(item, Tensor) or not item.dim():
            return item
        try:
            return item.repeat(batch, *(1,) * (item.dim() - 1))
        except RuntimeError as error:
            raise ArgumentError(f"--batch cannot repeat an input: {error_text(error)[:200]}") from error

    return tree_map(repeated, value) if batch > 1 else value


def one_image(shape: Sequence[int]) -> ModelInputs:
    """One positional argument: a tensor of this shape without data."""
    return ModelInputs((torch.empty(tuple(shape), device="meta"),))


def as_inputs(value: Any, where: str) -> ModelInputs:
    """The inputs that `example_inputs` of a file means: a tensor, a sequence of arguments, keyword arguments,
    or a function that returns one of these. where: the file, for errors. Raises ModelError for anything else.
    """
    if callable(value) and not isinstance(value, Tensor):
        value = value()
    if isinstance(value, ModelInputs):
        return value
    if isinstance(value, Tensor | PackedSequence):
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
    """The input shape of the first layer with weights, in the form of `--input` with sizes to fill in; "" if
    it is unknown.
    """
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
    """The error for a model without inputs. It names the shape that the first layer takes."""
    shape = expected_input(model)
    hint = f"its first layer takes {shape}: give --input {shape}" if shape else "give one --input an argument"
    return ArgumentError(
        f"no input given for {spec}", f"{hint} with sizes filled in, or set example_inputs in the file"
    )
