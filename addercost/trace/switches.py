"""torch's global state during a trace: set so that every operator is dispatched, restored in any case."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def countable_operators(keep_random: bool = True) -> Iterator[None]:
    """While active, attention and recurrent layers run as operators that can be counted, not as one fused
    call.

    Restores the MHA fast path, the oneDNN switch, the attention backends and, with keep_random, every random
    state on leaving, after an exception too. Leaving random states alone saves a tenth of a millisecond.
    """
    with ExitStack() as stack:
        if keep_random:
            stack.enter_context(_random_states_kept())
        fastpath = torch.backends.mha.get_fastpath_enabled()
        stack.callback(torch.backends.mha.set_fastpath_enabled, fastpath)
        torch.backends.mha.set_fastpath_enabled(False)
        # torch.backends.mkldnn.flags would also touch the TF32 switch, and warns where there is no Intel GPU.
        stack.callback(torch._C._set_mkldnn_enabled, torch._C._get_mkldnn_enabled())
        torch._C._set_mkldnn_enabled(False)
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if "torch._dynamo" in sys.modules:
            # Parts of the model that torch.compile wrapped run uncompiled.
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


@contextmanager
def _random_states_kept() -> Iterator[None]:
    torch_state = torch.get_rng_state()
    python_state = random.getstate()
    # Without a CUDA context there is no generator to restore, and creating one to look would take seconds.
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
