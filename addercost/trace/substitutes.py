"""Tensors that take the place of a model's own during a trace: without data, or with values to run on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.rnn import PackedSequence
from torch.utils._pytree import tree_map

from addercost.trace.attended_scores import input_with_values_of, with_values_of
from addercost.trace.sparse import dense_stand_in, with_stored


def meta_substitute(tensor: Tensor, always: bool = False) -> Tensor:
    """A copy of a parameter or buffer on the meta device. A tensor that is there already is returned itself,
    unless `always`.
    """
    if is_lazy(tensor):
        return without_shape(tensor, "meta")
    stand_in = dense_stand_in(tensor)
    if stand_in is tensor and tensor.device.type == "meta" and not always:
        return tensor
    data = with_values_of(with_stored(stand_in.detach().to("meta"), tensor), tensor)
    made = nn.Parameter(data, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else data
    return with_stored(made, tensor)


def without_data(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return input_with_values_of(with_stored(dense_stand_in(value).detach().to("meta"), value), value)


def mapped(convert: Callable[[Any], Any], value: Any) -> Any:
    """`tree_map`, except that packed sequences keep their lengths, which torch needs on the CPU."""

    def converted(item: Any) -> Any:
        if not isinstance(item, PackedSequence):
            return convert(item)
        order = convert(item.sorted_indices), convert(item.unsorted_indices)
        return PackedSequence(convert(item.data), item.batch_sizes, *order)

    return tree_map(converted, value, is_leaf=lambda item: isinstance(item, PackedSequence))


def without_shape(tensor: Tensor, device: str) -> Tensor:
    """A lazy parameter like the given one. It has no shape before the first forward, so there is nothing to
    copy.
    """
    made: Tensor = type(tensor)(device=device)
    return made


def with_values(tensor: Tensor) -> Tensor:
    """A copy on the CPU. Missing data are replaced by random numbers; for integers by zeros, which are valid
    indices.
    """
    if dense_stand_in(tensor) is not tensor:
        return with_stored(torch.randn(tensor.shape).to(tensor.dtype), tensor)
    if tensor.device.type != "meta":
        return tensor.detach().to("cpu", copy=True)
    if tensor.is_floating_point() or tensor.is_complex():
        return torch.randn(tensor.shape, dtype=tensor.dtype, device="cpu")
    return torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu")
