"""Whether a call may go straight to its kernel: nothing would come between in torch's dispatcher.

The dispatcher takes as long as a small layer's kernel. It decides by sets of keys, of each tensor and of the
thread: gradients, autocast, vmap, dispatch modes, jit traces, views of negated numbers and so on are a key
each. So a call is direct where these sets are those of a plain tensor in a plain thread, and no gradient is
asked for.
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
    """Whether an operator on these computes on plain CPU tensors and nobody watches or changes it: there is
    no gradient, mode, transform, trace, compiler, cast or profiler."""
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or _function_modes() or _profiler_enabled():
        return False
    if (_included().raw_repr(), _excluded().raw_repr()) not in _PLAIN_THREADS:
        return False
    for operand in operands:
        if operand is not None and _tensor_keys(operand).raw_repr() not in _PLAIN_TENSORS:
            return False
    return True


def _plain_keys() -> tuple[frozenset[tuple[int, int]], frozenset[int]]:
    """The thread's keys and a tensor's, each outside and inside inference mode."""
    threads, tensors = set(), set()
    for inference in (False, True):
        with torch.inference_mode(inference):
            threads.add((_included().raw_repr(), _excluded().raw_repr()))
            tensors.add(_tensor_keys(torch.empty(0)).raw_repr())
    return frozenset(threads), frozenset(tensors)


# A new thread is plain, whatever this one does while it imports this module.
with ThreadPoolExecutor(1) as _new_thread:
    _PLAIN_THREADS, _PLAIN_TENSORS = _new_thread.submit(_plain_keys).result()
