"""The recurrence of Griffin's layers (RecurrentGemma) as one operator. Otherwise it is 10 calls for each
token.

The kernel that such models run with computes it in one call too: `linear_scan` of DeepMind's recurrentgemma.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from addercost.trace.own_operators import asks_gradient, register_operator


def linear_recurrence(gate: Tensor, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """h_t = gate_t·h_{t-1} + x_t for every token.

    gate, x: [B, L, D]; state: [B, D] float32, h of the token before the first. Returns all h, [B, L, D] in
    the dtype of x, and the last one, [B, D]. Source: De et al., 2024 (Griffin), equation 4; x includes that
    equation's factors.
    """
    outputs = []
    for t in range(x.shape[1]):
        state = gate[:, t].to(state.dtype) * state + x[:, t].to(state.dtype)
        outputs.append(state.to(x.dtype))
    return torch.stack(outputs, 1), state


def whole_linear_recurrence(reference: Callable[..., Any]) -> Callable[..., Any]:
    """A replacement for the method `_rnn_scan`, which is `reference`."""

    def scan(
        layer: Any,
        hidden_states: Tensor,
        recurrent_gate: Tensor,
        reset: Tensor,
        recurrent_states: Tensor | None,
        acc_dtype: torch.dtype = torch.float32,
    ) -> Any:
        x, gate, state = hidden_states, recurrent_gate, recurrent_states
        if x.shape[1] == 1 or asks_gradient((x, gate, state)):
            return reference(layer, x, gate, reset, state, acc_dtype)
        if state is None:
            state = torch.zeros_like(x[:, 0], dtype=acc_dtype)
        return _operator()(gate * ~reset, x, state)

    return scan


def _shapes(gate: Tensor, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x, device="meta"), torch.empty_like(state, device="meta")


@cache
def _operator() -> Callable[..., Any]:
    """The operator `addercost.linear_recurrence`, registered when a model first needs it."""
    return register_operator("linear_recurrence", linear_recurrence, _shapes)
