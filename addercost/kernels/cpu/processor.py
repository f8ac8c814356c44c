"""What the kernels ask of the processor that they run on."""

from __future__ import annotations

from functools import cache

import halide as hl


@cache
def vector_bytes() -> int:
    """Bytes in this machine's vector register."""
    return int(hl.get_host_target().natural_vector_size(hl.UInt(8)))
