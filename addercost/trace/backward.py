"""The backward half of a training step: how it starts, and which module each gradient belongs to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from addercost.errors import TraceError

BACKWARD = "backward"
"""Tag of a call that the backward pass made. A forward that it repeats (activation checkpointing) is
included.
"""


class Idle(str):
    """The path while no module runs. It equals the root's path "" and differs only in its type."""

    __slots__ = ()


class GradientPaths:
    """Finds the path of the module that an autograd node belongs to.

    autograd numbers its nodes while the forward makes them, each just before its operator is dispatched. A
    new node therefore belongs to the module whose path is on the stack at the next dispatch. A node that no
    dispatch follows belongs to the module of the node before it.
    """

    def __init__(self, names: Mapping[int, tuple[str, str, Tensor]]) -> None:
        self.running = False
        self._newest = -1
        self._numbers: list[int] = []
        self._paths: list[str] = []
        self._owners = {key: name.rpartition(".")[0] for key, (name, _, _) in names.items()}

    def path(self, path: str) -> str:
        """The path of the module that a call belongs to, given the path on the stack."""
        node = torch._C._current_autograd_node() if self.running else None
        if node is None or type(path) is not Idle:
            # This is the forward, or one that the backward pass repeats.
            newest = torch.autograd._get_sequence_nr() - 1  # type: ignore[attr-defined]
            if newest > self._newest:
                self._newest = newest
                if not self._paths or self._paths[-1] != path:
                    self._numbers.append(newest)
                    self._paths.append(path)
            return path
        variable = getattr(node, "variable", None)
        if variable is not None:
            return self._owners.get(id(variable), "")
        at = bisect_right(self._numbers, node._sequence_nr()) - 1
        return self._paths[at] if at >= 0 else ""


def start_backward(output: Any, name: str) -> None:
    """Computes the gradients of a model's output for every parameter and input that requires one. Each output
    starts with a gradient of ones.

    If there is a `loss` among the outputs, only that is differentiated; otherwise every output that depends
    on a parameter. Raises TraceError if no output does.
    """
    loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    found = [loss] if isinstance(loss, Tensor) else tree_flatten(output)[0]
    ends = [value for value in found if isinstance(value, Tensor) and value.requires_grad]
    if not ends:
        raise TraceError(
            f"{name} has no gradient to compute: no output depends on a parameter or an input",
            "leave --backward out, or unfreeze the model",
        )
    torch.autograd.backward(ends, [_ones(end) for end in ends])


def _ones(output: Tensor) -> Tensor:
    """The gradient of the sum of all elements. For a sparse tensor this is a sparse one with the same
    places.
    """
    if output.layout is not torch.sparse_coo:
        return torch.ones_like(output)
    with torch.no_grad():
        values = torch.ones_like(output._values())
        places = output._indices()
        return torch.sparse_coo_tensor(
            places, values, output.shape, is_coalesced=output.is_coalesced(), check_invariants=False
        )
