"""Layers that carry a state from token to token, with the loop over the tokens as one operator each.

Their reference in torch is such a loop, so a trace has some calls more for each token of each layer, and each
call writes its result to memory. The kernels that models run with keep the state in registers.
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
"""What takes the place of a loop, by the loop's name among the functions or the methods of transformers."""


@contextmanager
def whole_scans(model: nn.Module) -> Iterator[None]:
    """While active, the model's scans are one operator each, unless a gradient of them is asked for."""
    with ExitStack() as stack:
        for place, name in _loops(model.modules()):
            before = getattr(place, name)
            stack.callback(setattr, place, name, before)
            setattr(place, name, LOOPS[name](before))
        yield


def _loops(modules: Iterable[nn.Module]) -> Iterator[tuple[Any, str]]:
    """The files and classes of transformers that have a loop of their own, and its name."""
    classes = {type(module) for module in modules if type(module).__module__.startswith("transformers.")}
    for place in (*{sys.modules[found.__module__] for found in classes}, *classes):
        yield from ((place, name) for name in LOOPS if name in vars(place))
