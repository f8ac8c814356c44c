"""Makes all findings that `addercost doctor` prints.

Nothing here raises because something is missing or broken; that is a finding. torch is imported only if it is
installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from addercost.measure.doctor.finding import FindingState, MachineFinding, in_words
from addercost.measure.doctor.gpu import gpus
from addercost.measure.doctor.kernels import kernels
from addercost.measure.doctor.packages import packages
from addercost.measure.doctor.processor import clock, compilers, processor


def examine(deep: bool = False) -> tuple[MachineFinding, ...]:
    """The findings about every part of this machine. deep: import every optional package, to find broken
    ones.
    """
    parts: Mapping[str, Callable[[], Iterator[MachineFinding]]] = {
        "processor": processor,
        "clock": clock,
        "packages": partial(packages, deep),
        "kernels": kernels,
        "gpu": gpus,
        "compilers": compilers,
    }
    return tuple(finding for name, part in parts.items() for finding in _guarded(name, part))


def _guarded(name: str, part: Callable[[], Iterator[MachineFinding]]) -> Iterator[MachineFinding]:
    try:
        yield from part()
    except Exception as error:  # of a broken package; the other parts can still be examined
        yield MachineFinding(name, "the examination itself", FindingState.BROKEN, in_words(error))
