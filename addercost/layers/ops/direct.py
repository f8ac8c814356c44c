"""Decides whether a call may skip torch's dispatcher and go to its kernel directly.

The dispatcher takes as long as the kernel of a small layer. It decides by sets of keys, those of each tensor
and those of the thread: gradients, autocast, vmap, dispatch modes, jit traces, views of negated numbers and
so on each have a key. A call is direct if these sets are those of a plain tensor in a plain thread and no
gradient is needed. The dispatcher would then only call the kernel.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

_tensor_keys = torch._C._dispatch_keys
_included = torch._C._dispatch_tls_local_include_set
_excluded = torch._C._dispatch_tls_local_exclude_set
_function_modes = torch._C._len_torch_function_stack
_profiler_enabled = torch._C._autograd._profiler_enabled


def nothing_between(operands: Iterable[Tensor | None]) -> bool:
    """Whether the operands are plain CPU tensors and nothing observes or changes the operator.

    That is, there is no gradient, mode, transform, trace, compiler, cast or profiler."""
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or _function_modes() or _profiler_enabled():
        return False
    if (_included().raw_repr(), _excluded().raw_repr()) not in _PLAIN_THREADS:
        return False
    for operand in operands:
        if operand is not None and _tensor_keys(operand).raw_repr() not in _PLAIN_TENSORS:
            return False
    return True


def _plain_keys() -> tuple[frozenset[tuple[int, int]], frozenset[int]]:
    """The key sets of a plain thread and of a plain tensor, each outside and inside inference mode."""
    threads, tensors = set(), set()
    for inference in (False, True):
        with torch.inference_mode(inference):
            threads.add((_included().raw_repr(), _excluded().raw_repr()))
            tensors.add(_tensor_keys(torch.empty(0)).raw_repr())
    return frozenset(threads), frozenset(tensors)


# A new thread is plain, whatever this thread does while it imports this module.
with ThreadPoolExecutor(1) as _new_thread:
    _PLAIN_THREADS, _PLAIN_TENSORS = _new_thread.submit(_plain_keys).result()
