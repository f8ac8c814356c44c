"""A call recorded as a CUDA graph, so that replaying it costs the host one launch."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any

from addercost.measure.devices.device import Call


def recorded(cuda: Any, call: Call) -> Call | None:
    """A replay of a graph that does what `call` does, or None where the call cannot be recorded."""
    if _waits_for_the_device(cuda, call):
        return None
    graph, stream = cuda.CUDAGraph(), cuda.current_stream()
    try:
        side = cuda.Stream()
        side.wait_stream(stream)
        with cuda.stream(side):
            call()
        stream.wait_stream(side)
        # A recording that fails leaves its own stream as the current one. The outer context restores the
        # stream.
        with cuda.stream(stream), cuda.graph(graph):
            call()
        graph.replay()
        cuda.synchronize()
    except (RuntimeError, MemoryError):  # MemoryError: of our layers, where memory runs out
        with suppress(RuntimeError):
            cuda.synchronize()
        return None
    replay: Call = graph.replay
    return replay


def _waits_for_the_device(cuda: Any, call: Call) -> bool:
    """Whether the call waits for the device: runs it once to see. Such a call cannot be recorded, and an
    attempt to record it can leave torch's allocator in a wrong state.
    """
    before = cuda.get_sync_debug_mode()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the warning that this mode is a prototype
            cuda.set_sync_debug_mode("error")
        call()
    except RuntimeError:
        return True
    finally:
        cuda.set_sync_debug_mode(before)
        cuda.synchronize()
    return False
