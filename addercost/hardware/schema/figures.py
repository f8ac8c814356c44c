"""Types that tables of every kind use: limits on figures, classes of devices, citations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from addercost.reading import Limits, Text

Cycles = Annotated[float, Limits(above=0, below=1e6)]
Width = Annotated[int, Limits(least=1, below=1e6)]
ClockHz = Annotated[float, Limits(least=1e3, below=1e12)]
BytesPerSecond = Annotated[float, Limits(least=1e3, below=1e16)]
"""A value outside these limits is a mistake, such as a wrong unit."""
DeviceClass = Literal["server", "desktop", "board", "phone", "microcontroller"]


@dataclass(frozen=True, slots=True)
class Citation:
    """The source of figures. `url` is present where one page can be named."""

    title: Text
    licence: Text
    url: Text = ""
