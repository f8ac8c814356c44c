"""One trace at a time, while no other thread is inside the model.

A trace sets switches that torch has once for the whole process, and replaces the model's tensors.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Container
from typing import Any

from addercost.errors import TraceError
from addercost.garbage_collection import without_garbage_collection

ONE_AT_A_TIME = threading.RLock()
"""Locked during each traced run of a forward. A second thread waits for it."""


def require_unused(modules: Container[int], name: str) -> None:
    """Raises TraceError if another thread is in a method of one of these modules, which are given by their
    ids.

    Call this when new calls of their forwards are already refused.
    """
    here = threading.get_ident()
    # This thread's own frame is left out: it would refer to itself and keep the model alive.
    elsewhere = [frame for thread, frame in _frames().items() if thread != here]
    for frame in elsewhere:
        at: Any = frame
        while at is not None:
            code = at.f_code
            if code.co_argcount:
                owner = at.f_locals.get(code.co_varnames[0])
                if id(owner) in modules and callable(getattr(type(owner), code.co_name, None)):
                    raise TraceError(
                        f"{name} is running in another thread, and a trace would disturb that",
                        "profile it when nothing else uses it, or profile copy.deepcopy(model)",
                    )
            at = at.f_back


def _frames() -> dict[int, Any]:
    """The frames that each thread runs now.

    Python 3.11 locks its list of threads while it makes these frames. A garbage collection at that moment may
    run code that needs the same lock, and would wait for ever."""
    with without_garbage_collection():
        return sys._current_frames()


def used_elsewhere(name: str) -> TraceError:
    """The error for a module that one thread calls while another thread traces it."""
    return TraceError(
        f"{name} was called by one thread while another thread traces it",
        "call it when the trace is done, or profile copy.deepcopy(model); a forward that starts threads of "
        "its own cannot be traced: have it call its modules one after the other",
    )
