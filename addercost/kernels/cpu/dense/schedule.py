"""How a kernel computes a layer. Everything here may be chosen freely: every choice gives the same sums, up
to the rounding of those by maxima.
"""

from __future__ import annotations

from dataclasses import dataclass

from addercost.reading import Whole


@dataclass(frozen=True, slots=True)
class Schedule:
    """The size of a tile, the direction of its vectors, and what is joined or copied."""

    lanes: Whole
    """Filters in a vector; with `across`, pixels."""
    vectors: Whole
    pixels: Whole
    """Pixels in a tile; with `across`, filters."""
    across: bool = False
    """Vectors run along a row of outputs. This needs a stride of 1."""
    joined: bool = False
    """The output's rows are joined into one, so a tile can continue from one row into the next."""
    kept_scratch: bool = False
    """A task copies its whole input once for all its blocks, instead of each strip again for each block."""
    by_maxima: bool = False
    """Distances are computed from maxima: see `maxima.py`."""

    @property
    def vector_run(self) -> int:
        """Elements of a tile along the direction of its vectors."""
        return self.lanes * self.vectors

    @property
    def block(self) -> int:
        """Filters in a tile."""
        return self.pixels if self.across else self.vector_run

    def __str__(self) -> str:
        along = "pixels" if self.across else "filters"
        marks = [name for name in ("joined", "kept_scratch", "by_maxima") if getattr(self, name)]
        return " ".join(
            (f"{self.vectors} × {self.lanes} {along} × {self.pixels}", *(m.replace("_", " ") for m in marks))
        )
