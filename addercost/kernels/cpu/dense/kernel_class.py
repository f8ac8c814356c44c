"""What is fixed when a kernel is compiled; all sizes are its parameters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KernelClass:
    """What is fixed when a kernel is compiled."""

    site: str
    lanes: int
    """Filters of a vector; with `across`, pixels."""
    vectors: int
    pixels: int
    """Pixels of a tile; with `across`, its filters."""
    channels_last_input: bool
    channels_last_output: bool
    direct: bool
    """The input has the border that it needs and is read in place, without a scratch image."""
    narrow: bool
    """Fewer channels than filter columns: the inner loop runs along the filter's row instead."""
    across: bool = False
    """Vectors run along a row of outputs, at stride 1."""
    whole_squares: bool = False
    """A filter's taps divide into whole vectors: weights are transposed in registers."""
    filters_innermost: bool = False
    """The weights have their filters innermost, in whole blocks."""
    slack: bool = False
    """The input has memory up to the end of a row's last tile, so that no pixel's address is clamped."""
    filter_axes: int = 2
    """Axes of the filter that have a loop: 2, only its rows (1), or none, because it is 1×1 (0)."""
    joined: bool = False
    """The output's rows are joined to one, so that a tile continues from one row into the next."""
    kept_scratch: bool = False
    """A task's input is copied once for all its blocks, and not each strip again for each block."""
    whole_filters: bool = False
    """Filters divide into blocks."""
    whole_columns: bool = False
    """Columns of the output divide into tiles."""

    @property
    def block(self) -> int:
        """Filters in a tile."""
        return self.pixels if self.across else self.vector_run

    @property
    def whole_pixels(self) -> bool:
        """The scratch image keeps a pixel's channels together, otherwise a row's pixels."""
        return self.channels_last_input and not self.across

    @property
    def transposed_output(self) -> bool:
        """Pixels are neighbours in the output and filters in the tile."""
        return not (self.channels_last_output or self.across)

    @property
    def at_once(self) -> bool:
        """Sums go from their registers to the output, without a copy of the tile between."""
        return self.slack and (self.channels_last_output or self.across)

    @property
    def vector_run(self) -> int:
        """Elements of a tile along its vectors."""
        return self.lanes * self.vectors
