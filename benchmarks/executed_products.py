"""Counts the multiply-adds that PyTorch really executes on the CPU: an independent count of the sites of a
forward.

It shares nothing with the tracer or the counting rules: weights and inputs have values, attention runs in
torch's fused kernel, and LSTMs in oneDNN's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def _convolution(out: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> int:
    """weight: [K, C/groups, …]; in a transposed convolution [C, K/groups, …], where each input element is
    multiplied by all taps.
    """
    transposed = rest[4]
    return (x if transposed else out).numel() * math.prod(weight.shape[1:])


def _product(out: Tensor, a: Tensor, *_: Any) -> int:
    return out.numel() * int(a.shape[-1])


def _added_product(out: Tensor, _start: Tensor, a: Tensor, *_: Any) -> int:
    return out.numel() * int(a.shape[-1])


def _summed_batches(out: Tensor, _start: Tensor, a: Tensor, b: Tensor, *_: Any) -> int:
    return a.numel() * int(b.shape[-1])


def _dot(out: Tensor, a: Tensor, *_: Any) -> int:
    return a.numel()


def _added_dot(out: Tensor, _start: Tensor, a: Tensor, *_: Any) -> int:
    return a.numel()


def _attention(out: Any, q: Tensor, k: Tensor, v: Tensor, *_: Any) -> int:
    """q: [B, H, L, E], k: [B, H, S, E], v: [B, H, S, V]: scores and their product with v."""
    return math.prod(q.shape[:-1]) * int(k.shape[-2]) * int(q.shape[-1] + v.shape[-1])


def _lstm_layer(out: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, *_: Any) -> int:
    """x: [T, B, in]; w_ih: [4H, in], w_hh: [4H, H]: both products at every step."""
    return int(x.shape[0] * x.shape[1]) * (w_ih.numel() + w_hh.numel())


def _deformed(out: Tensor, x: Tensor, weight: Tensor, *_: Any) -> int:
    return out.numel() * math.prod(weight.shape[1:])


PRODUCTS: Mapping[str, Callable[..., int]] = {
    "aten.convolution": _convolution,
    "aten.mm": _product,
    "aten.bmm": _product,
    "aten.addmm": _added_product,
    "aten._addmm_activation": _added_product,
    "aten.baddbmm": _added_product,
    "aten.addbmm": _summed_batches,
    "aten.mv": _dot,
    "aten.addmv": _added_dot,
    "aten.dot": _dot,
    "aten._scaled_dot_product_flash_attention_for_cpu": _attention,
    "aten.mkldnn_rnn_layer": _lstm_layer,
    "aten._grouped_mm": _product,
    "torchvision.deform_conv2d": _deformed,
}


class ExecutedProducts(TorchDispatchMode):
    """Inside the block, adds up the multiply-adds of every product in `by_operator`, by operator."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.by_operator: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = str(func).rpartition(".")[0]
        rule = PRODUCTS.get(name)
        if rule is not None:
            self.by_operator[name] += rule(out, *args)
        return out


def executed_products(model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Counter[str]:
    """Runs one forward in evaluation mode with values, and returns its multiply-adds by operator."""
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it would be a single opaque operator
    counter = ExecutedProducts()
    try:
        with torch.no_grad(), counter:
            model(*args, **kwargs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
    return counter.by_operator
