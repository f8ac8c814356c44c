"""Which contenders a benchmark times, and with which contender each is compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from addercost.arithmetic import Arithmetic
from addercost.counts.arithmetics import layered
from addercost.errors import unknown_name
from addercost.measure.contenders.contender import DTYPES, Contender
from addercost.measure.contenders.narrow import narrow_contenders
from addercost.measure.contenders.own import own_contenders
from addercost.measure.contenders.vendor import MAIN, vendor_contenders


def contenders(
    device: torch.device, arithmetics: Sequence[Arithmetic], dtypes: Sequence[str]
) -> Iterator[Contender]:
    """All contenders of these arithmetics and number formats, the vendor's first. Raises ArgumentError for a
    format that does not exist.
    """
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise unknown_name("number format", dtype, DTYPES)
    narrow = narrow_contenders() if device.type == "cpu" else ()
    everything = (*vendor_contenders(device), *own_contenders(device), *narrow)
    timed = {contender.arithmetic for contender in everything}
    for arithmetic in arithmetics:
        if arithmetic not in timed:
            layered(arithmetic)
    for contender in everything:
        asked = "fp32" if contender.dtype == "tf32" else contender.dtype
        if contender.arithmetic in arithmetics and asked in dtypes:
            yield contender


def reference_of(contender: Contender, device: torch.device) -> Contender | None:
    """The contender with which this one is compared: the vendor's convolution in the same number format, or
    in fp32 where the vendor has none in it.

    None for the vendor's fp32 convolution itself, which has nothing to be compared with.
    """
    vendor = {c.dtype: c for c in vendor_contenders(device) if c.implementation in MAIN}
    if contender.implementation in MAIN:
        return None if contender.dtype == "fp32" else vendor["fp32"]
    return vendor.get(contender.dtype, vendor["fp32"])
