"""torch's operators that take functions, executed as the loops and branches that they stand for.

What runs is counted: the branch that was taken, and each round that was made. A function here has the
arguments of its operator and is called while the recorder is active.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from addercost.trace.flex_attention import flex_attention


def _cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Sequence[Any]
) -> Any:
    return (true_fn if bool(pred) else false_fn)(*operands)


def _while_loop(
    cond_fn: Callable[..., Any],
    body_fn: Callable[..., Any],
    carried_inputs: Sequence[Any],
    additional_inputs: Sequence[Any] = (),
) -> Any:
    carried: Any = tuple(carried_inputs)
    while bool(cond_fn(*carried, *additional_inputs)):
        carried = tuple(body_fn(*carried, *additional_inputs))
    return carried


def _map(f: Callable[..., Any], xs: Sequence[Tensor], pos_args: Sequence[Any]) -> Any:
    return _stacked([f(*[x[turn] for x in xs], *pos_args) for turn in range(len(xs[0]))])


def _scan(
    combine_fn: Callable[..., Any],
    init: Sequence[Any],
    xs: Sequence[Tensor],
    additional_inputs: Sequence[Any] = (),
) -> Any:
    carried, made = list(init), []
    for turn in range(len(xs[0])):
        out = list(combine_fn(*carried, *[x[turn] for x in xs], *additional_inputs))
        carried = out[: len(init)]
        made.append(out[len(init) :])
    return [*carried, *_stacked(made)]


def _stacked(turns: Sequence[Any]) -> Any:
    """The outputs of all rounds, stacked along a new first axis."""
    if isinstance(turns[0], Tensor):
        return torch.stack(list(turns))
    return type(turns[0])([torch.stack(list(values)) for values in zip(*turns, strict=True)])


CONTROL_FLOW: Mapping[str, Callable[..., Any]] = {
    "cond": _cond,
    "while_loop": _while_loop,
    "map_impl": _map,
    "scan": _scan,
    "flex_attention": flex_attention,
}
"""By the operator's name."""


class ControlFlowAsPython(TorchFunctionMode):
    """Runs these operators before autograd sees them, because autograd would compile their gradients."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if isinstance(func, torch._ops.HigherOrderOperator) and func.name() in CONTROL_FLOW:
            with self:
                return CONTROL_FLOW[func.name()](*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))
