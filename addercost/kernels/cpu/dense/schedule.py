"""How a kernel computes a layer: what may be chosen freely, since every choice gives the same sums."""

from __future__ import annotations

from dataclasses import dataclass

from addercost.reading import Whole


@dataclass(frozen=True, slots=True)
class Schedule:
    """A tile, which way its vectors run, and what is joined or copied."""

    lanes: Whole
    """Filters of a vector; with `across`, pixels."""
    vectors: Whole
    pixels: Whole
    """Pixels of a tile; with `across`, its filters."""
    across: bool = False
    """Vectors run along a row of outputs, at stride 1."""
    joined: bool = False
    """The output's rows are joined to one, so that a tile continues from one row into the next."""
    kept_scratch: bool = False
    """A task's input is copied once for all its blocks, and not each strip again for each block."""

    @property
    def vector_run(self) -> int:
        """Elements of a tile along its vectors."""
        return self.lanes * self.vectors

    @property
    def block(self) -> int:
        """Filters in a tile."""
        return self.pixels if self.across else self.vector_run

    def __str__(self) -> str:
        along = "pixels" if self.across else "filters"
        marks = [name for name in ("joined", "kept_scratch") if getattr(self, name)]
        return " ".join(
            (f"{self.vectors} × {self.lanes} {along} × {self.pixels}", *(m.replace("_", " ") for m in marks))
        )
