"""Layers that carry a state from token to token. The loop over the tokens is recorded as one operator.

Their reference implementation in torch is such a loop: a trace has several calls for each token and layer,
each of which writes its result to memory. The kernels that these models run with keep the state in registers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from addercost.trace.linear_recurrence import whole_linear_recurrence
from addercost.trace.selective_scan import whole_selective_scan
from addercost.trace.wkv_scan import whole_wkv_scan

LOOPS: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "mamba_selective_scan": whole_selective_scan,
    "rwkv_linear_attention": whole_wkv_scan,
    "_rnn_scan": whole_linear_recurrence,
}
"""The replacement of each loop, by the loop's name among the functions or methods of transformers."""


@contextmanager
def whole_scans(model: nn.Module) -> Iterator[None]:
    """While active, each of the model's scans is one operator, unless its gradient is needed."""
    with ExitStack() as stack:
        for place, name in _loops(model.modules()):
            before = getattr(place, name)
            stack.callback(setattr, place, name, before)
            setattr(place, name, LOOPS[name](before))
        yield


def _loops(modules: Iterable[nn.Module]) -> Iterator[tuple[Any, str]]:
    """The modules and classes of transformers that contain a loop, with the loop's name."""
    classes = {type(module) for module in modules if type(module).__module__.startswith("transformers.")}
    for place in (*{sys.modules[found.__module__] for found in classes}, *classes):
        yield from ((place, name) for name in LOOPS if name in vars(place))
