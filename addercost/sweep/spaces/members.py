"""Makes architectures of the values that a user's file yields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from addercost.errors import ModelError
from addercost.sweep.spaces.architecture import Architecture, Fact


def as_architecture(member: Any, index: int, where: str) -> Architecture:
    """`(name, factory, inputs)` or `(name, factory, inputs, facts)` as an architecture. An architecture is
    returned unchanged.

    where: the space, for messages. Raises ModelError for anything else.
    """
    if isinstance(member, Architecture):
        return _writable(member, index, where)
    if not isinstance(member, tuple) or len(member) not in (3, 4):
        raise ModelError(
            f"architecture {index} of {where} is a {type(member).__name__}",
            "yield (name, factory, inputs) or (name, factory, inputs, facts)",
        )
    name, make, inputs, *facts = member
    if not isinstance(name, str) or not callable(make):
        raise ModelError(
            f"architecture {index} of {where} is ({type(name).__name__}, {type(make).__name__}, …)",
            "yield a text and a function without arguments that makes the module",
        )
    found: dict[str, Fact] = dict(facts[0]) if facts else {}
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, int | float | str | None):
            raise ModelError(f"fact {key!r} of {name} is a {type(value).__name__}", "numbers, texts or None")
    return _writable(Architecture(name, make, _inputs_by_batch(inputs, name), found), index, where)


def _writable(architecture: Architecture, index: int, where: str) -> Architecture:
    """The architecture, if all of its texts can be written to a file. Half of a surrogate pair has no UTF-8
    form.
    """
    for text in (architecture.name, *architecture.facts, *architecture.facts.values()):
        if isinstance(text, str):
            try:
                text.encode("utf-8")
            except UnicodeEncodeError:
                raise ModelError(
                    f"architecture {index} of {where} has the text {text!r}, which no file can hold",
                    "give it another name",
                ) from None
    return architecture


def _inputs_by_batch(inputs: Any, name: str) -> Callable[[int], tuple[tuple[Any, ...], Mapping[str, Any]]]:
    def at(batch: int) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        from torch import Tensor
        from torch.utils._pytree import tree_map

        from addercost.trace.inputs import as_inputs

        given = inputs(batch) if callable(inputs) and not isinstance(inputs, Tensor) else inputs
        made = as_inputs(given, name)
        if callable(inputs) and not isinstance(inputs, Tensor):
            return made.args, made.kwargs
        repeated = tree_map(lambda v: _repeated(v, batch), (made.args, dict(made.kwargs)))
        return repeated[0], repeated[1]

    return at


def _repeated(value: Any, batch: int) -> Any:
    """A tensor without data whose first dimension is multiplied by `batch`."""
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    shape = (value.shape[0] * batch, *value.shape[1:]) if value.dim() else ()
    return torch.empty(shape, dtype=value.dtype, device="meta")
