"""The scan of a selective state-space layer (Mamba) as one operator.

Its reference in torch is a loop over the tokens of a text, so a trace has 16 more calls for each token of
each layer, and each call writes its result to memory. The kernels that models run with compute the scan in
one call and keep the state in registers: `selective_scan_fn` of mamba_ssm, `ggml_ssm_scan` of llama.cpp.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from addercost.trace.own_operators import register_operator

REFERENCE = "mamba_selective_scan"
"""The name of the loop in the files of transformers."""


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
    """x, dt, gate: [B, D, L]; rates: [D, N]; b, c: [B, N, L]; skip, bias: [D].

    h_t = exp(dt_t·rates)·h_{t-1} + dt_t·b_t·x_t, y_t = h_t·c_t + skip·x_t, times silu(gate_t); bias is added
    to dt, and softplus applied to it, before. Returns y: [B, D, L] and the last h: [B, D, N]. Source: Gu and
    Dao, 2023 (Mamba), algorithm 2, where rates are A, skip is D and the gate is z.
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


@contextmanager
def whole_scans(model: nn.Module) -> Iterator[None]:
    """While active, the model's scans are one operator each, unless a gradient of them is asked for."""
    with ExitStack() as stack:
        for file in _files_with_scans(model.modules()):
            before = getattr(file, REFERENCE)
            stack.callback(setattr, file, REFERENCE, before)
            setattr(file, REFERENCE, _whole(before))
        yield


def _files_with_scans(modules: Iterable[nn.Module]) -> Iterator[Any]:
    names = {type(module).__module__ for module in modules}
    for name in sorted(name for name in names if name.startswith("transformers.")):
        file = importlib.import_module(name)
        if hasattr(file, REFERENCE):
            yield file


def _whole(reference: Callable[..., Any]) -> Callable[..., Any]:
    def scan(*five: Tensor, **named: Any) -> Any:
        tensors = (*five, *(named.get(name) for name in ("D", "z", "delta_bias")))
        if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
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
    """`addercost.selective_scan`, registered when a first model needs it."""
    return register_operator("selective_scan", selective_scan, _shapes)
