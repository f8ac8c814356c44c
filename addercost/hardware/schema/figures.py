"""What tables of every kind have: limits on figures, classes of devices, citations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from addercost.reading import Limits, Text

Cycles = Annotated[float, Limits(above=0, below=1e6)]
Width = Annotated[int, Limits(least=1, below=1e6)]
ClockHz = Annotated[float, Limits(least=1e3, below=1e12)]
BytesPerSecond = Annotated[float, Limits(least=1e3, below=1e16)]
"""Whatever is beyond these is a slip of the pen: a unit or some zeros too many."""
DeviceClass = Literal["server", "desktop", "board", "phone", "microcontroller"]


@dataclass(frozen=True, slots=True)
class Citation:
    """Where figures come from: `title` and `licence` always, `url` where there is one page to point to."""

    title: Text
    licence: Text
    url: Text = ""
