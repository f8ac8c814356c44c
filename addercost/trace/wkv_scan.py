"""The scan of an RWKV layer as one operator. Otherwise it is 36 calls for each token.

The kernels that such models run with compute it in one call too: `wkv_cuda` of RWKV-LM and, for a later
version, `ggml_rwkv_wkv6` of llama.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from addercost.trace.own_operators import asks_gradient, register_operator

_LEAST = 1e38
"""How far below zero the largest exponent is before the first token."""


def wkv_scan(
    decay: Tensor, first: Tensor, key: Tensor, value: Tensor, num: Tensor, den: Tensor, largest: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The outputs y and the state of RWKV's scan.

    decay, first: [D]; key, value: [B, L, D]; num, den, largest: [B, D] float32, the state. num_t and den_t
    are sums over the tokens i before t, of exp(k_i + (t - 1 - i)·decay) times v_i and times 1, both divided
    by exp(largest_t). y_t = (num_t + exp(first + k_t)·v_t) / (den_t + exp(first + k_t)), where the
    exponentials too are divided by exp(largest_t). Returns y, [B, L, D], and the last state. Source: Peng et
    al., 2023 (RWKV), in the form that does not overflow.
    """
    outputs = []
    for t in range(key.shape[1]):
        k, v = key[:, t].float(), value[:, t]
        most = torch.maximum(largest, k + first)
        old, new = torch.exp(largest - most), torch.exp(k + first - most)
        outputs.append(((old * num + new * v) / (old * den + new)).to(key.dtype))
        most = torch.maximum(largest + decay, k)
        old, new = torch.exp(largest + decay - most), torch.exp(k - most)
        num, den, largest = old * num + new * v, old * den + new, most
    return torch.stack(outputs, 1), num, den, largest


def whole_wkv_scan(reference: Callable[..., Any]) -> Callable[..., Any]:
    """A replacement for `rwkv_linear_attention`, which is `reference`."""

    def scan(
        time_decay: Tensor,
        time_first: Tensor,
        key: Tensor,
        value: Tensor,
        state: Sequence[Tensor] | None = None,
        return_state: bool = False,
    ) -> Any:
        given = time_decay, time_first, key, value
        if asks_gradient((*given, *(state or ()))):
            return reference(*given, state=state, return_state=return_state)
        before = state
        if before is None:
            num, den, largest = (torch.zeros_like(key[:, 0], dtype=torch.float32) for _ in range(3))
            before = num, den, largest - _LEAST
        out, *after = _operator()(-torch.exp(time_decay), *given[1:], *before)
        return out, after if return_state or state is not None else state

    return scan


def _shapes(decay: Tensor, first: Tensor, key: Tensor, value: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(one, device="meta") for one in (key, *state))


@cache
def _operator() -> Callable[..., Any]:
    """The operator `addercost.wkv_scan`, registered when a model first needs it."""
    return register_operator("wkv_scan", wkv_scan, _shapes)
