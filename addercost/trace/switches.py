"""torch's global state during a trace. It is set so that every operator is dispatched, and always
restored.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from addercost.trace.flex_attention import any_device
from addercost.trace.threads import ONE_AT_A_TIME


@contextmanager
def countable_operators(keep_random: bool = True) -> Iterator[None]:
    """While active, attention and recurrent layers run as operators that can be counted instead of as one
    fused call. Only one thread at a time is inside; others wait.

    This sets three switches of the whole process: the MHA fast path, oneDNN and the attention backends. If
    torch's compiler is loaded, it also sets the compiler's stance. On leaving, also by an exception, it
    restores these and what a forward may have set (default dtype and device, autocast, threads, precision)
    and, with keep_random, every random state. Without keep_random it takes a tenth of a millisecond less.
    """
    with ExitStack() as stack:
        stack.enter_context(ONE_AT_A_TIME)
        if keep_random:
            stack.enter_context(_random_states_kept())
        stack.enter_context(_defaults_kept())
        fastpath = torch.backends.mha.get_fastpath_enabled()
        stack.callback(torch.backends.mha.set_fastpath_enabled, fastpath)
        torch.backends.mha.set_fastpath_enabled(False)
        # torch.backends.mkldnn.flags would also change the TF32 switch, and it warns where there is no Intel
        # GPU.
        stack.callback(torch._C._set_mkldnn_enabled, torch._C._get_mkldnn_enabled())
        torch._C._set_mkldnn_enabled(False)
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(any_device())
        if "torch._dynamo" in sys.modules:
            # Parts of the model that were compiled by torch.compile run uncompiled.
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


@contextmanager
def _defaults_kept() -> Iterator[None]:
    """Afterwards restores what a forward can set for everything that runs later, if it did."""
    before = [get() for get, _ in _DEFAULTS]
    context = _default_device()
    try:
        yield
    finally:
        for (get, restore), value in zip(_DEFAULTS, before, strict=True):
            if get() != value:
                restore(value)
        if _default_device() is not context:
            torch.set_default_device(None if context is None else context.device)


def _default_device() -> Any:
    """The mode of `torch.set_default_device`, or None."""
    return getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)


def _autocast(device: str) -> Iterator[tuple[Callable[[], Any], Callable[[Any], Any]]]:
    yield partial(torch.is_autocast_enabled, device), partial(torch.set_autocast_enabled, device)
    yield partial(torch.get_autocast_dtype, device), partial(torch.set_autocast_dtype, device)


_DEFAULTS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (torch.get_num_threads, torch.set_num_threads),
    *_autocast("cpu"),
    *_autocast("cuda"),
)
"""For each default, the function that reads it and the one that sets it."""


@contextmanager
def _random_states_kept() -> Iterator[None]:
    torch_state = torch.get_rng_state()
    python_state = random.getstate()
    # Without a CUDA context there is no generator to restore, and creating a context takes seconds.
    cuda_states = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    numpy = sys.modules.get("numpy")
    numpy_state = numpy.random.get_state() if numpy is not None else None
    try:
        yield
    finally:
        torch.set_rng_state(torch_state)
        random.setstate(python_state)
        if cuda_states is not None:
            torch.cuda.set_rng_state_all(cuda_states)
        if numpy is not None and numpy_state is not None:
            numpy.random.set_state(numpy_state)
