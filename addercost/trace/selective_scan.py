"""The scan of a selective state-space layer (Mamba) as one operator. Otherwise it is 16 calls for each token.

The kernels that such models run with compute it in one call too: `selective_scan_fn` of mamba_ssm,
`ggml_ssm_scan` of llama.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from addercost.trace.own_operators import asks_gradient, register_operator


def selective_scan(
    x: Tensor,
    dt: Tensor,
    rates: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor | None,
    gate: Tensor | None,
    bias: Tensor | None,
    softplus: bool,
) -> tuple[Tensor, Tensor]:
    """h_t = exp(dt_t·rates)·h_{t-1} + dt_t·b_t·x_t and y_t = (h_t·c_t + skip·x_t)·silu(gate_t), for every
    token.

    x, dt, gate: [B, D, L]; rates: [D, N]; b, c: [B, N, L]; skip, bias: [D]. Before that, bias is added to dt,
    and softplus is applied to the sum. Returns y, [B, D, L], and the last h, [B, D, N]. Source: Gu and Dao,
    2023 (Mamba), algorithm 2, in which rates are called A, skip D and the gate z.
    """
    if bias is not None:
        dt = dt + bias.to(dt.dtype)[:, None]
    if softplus:
        dt = F.softplus(dt)
    state = torch.zeros(*x.shape[:2], rates.shape[1], dtype=rates.dtype, device=x.device)
    outputs = []
    for t in range(x.shape[-1]):
        decay = torch.exp(dt[:, :, t, None] * rates)
        state = decay * state + dt[:, :, t, None] * b[:, None, :, t] * x[:, :, t, None]
        outputs.append((state.to(x.dtype) @ c[:, :, t, None])[..., 0])
    out = torch.stack(outputs, -1)
    if skip is not None:
        out = out + x * skip[:, None]
    if gate is not None:
        out = out * F.silu(gate)
    return out, state


def whole_selective_scan(reference: Callable[..., Any]) -> Callable[..., Any]:
    """A replacement for `mamba_selective_scan`, which is `reference`."""

    def scan(*five: Tensor, **named: Any) -> Any:
        tensors = (*five, *(named.get(name) for name in ("D", "z", "delta_bias")))
        if asks_gradient(tensors):
            return reference(*five, **named)
        out, state = _operator()(*tensors, bool(named.get("delta_softplus")))
        return (out, state) if named.get("return_last_state") else out

    return scan


def _shapes(x: Tensor, dt: Tensor, rates: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    dtype, shape = x.dtype, x.shape
    for other in rest[2:4]:
        dtype = dtype if other is None else torch.promote_types(dtype, other.dtype)
    state = torch.empty((*shape[:2], rates.shape[1]), dtype=rates.dtype, device="meta")
    return torch.empty(shape, dtype=dtype, device="meta"), state


@cache
def _operator() -> Callable[..., Any]:
    """The operator `addercost.selective_scan`, registered when a model first needs it."""
    return register_operator("selective_scan", selective_scan, _shapes)
