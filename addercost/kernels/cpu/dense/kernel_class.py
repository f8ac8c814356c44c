"""What is fixed when a kernel is compiled. All sizes are parameters of the compiled code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KernelClass:
    """What is fixed when a kernel is compiled. Kernels with equal fields share their code."""

    site: str
    lanes: int
    """Filters in a vector; with `across`, pixels."""
    vectors: int
    pixels: int
    """Pixels in a tile; with `across`, filters."""
    channels_last_input: bool
    channels_last_output: bool
    direct: bool
    """The input already has the border that it needs. The kernel reads it in place, without a scratch
    image.
    """
    narrow: bool
    """There are fewer channels than filter columns, so the inner loop runs along the filter's row."""
    across: bool = False
    """Vectors run along a row of outputs. This needs a stride of 1."""
    whole_squares: bool = False
    """The taps of a filter divide into whole vectors, so the weights can be transposed in registers."""
    filters_innermost: bool = False
    """The weights are stored with their filters innermost, in whole blocks."""
    slack: bool = False
    """The input's memory extends to the end of the last tile of a row, so pixel addresses need no clamp."""
    filter_axes: int = 2
    """How many axes of the filter have a loop: 2; 1, only its rows; or 0 for a 1×1 filter."""
    joined: bool = False
    """The output's rows are joined into one, so a tile can continue from one row into the next."""
    kept_scratch: bool = False
    """A task copies its whole input once for all its blocks, instead of each strip again for each block."""
    whole_filters: bool = False
    """The filters divide into blocks without a remainder."""
    whole_columns: bool = False
    """The columns of the output divide into tiles without a remainder."""

    @property
    def block(self) -> int:
        """Filters in a tile."""
        return self.pixels if self.across else self.vector_run

    @property
    def whole_pixels(self) -> bool:
        """Whether the scratch image keeps the channels of a pixel together; otherwise it keeps the pixels of
        a row together.
        """
        return self.channels_last_input and not self.across

    @property
    def transposed_output(self) -> bool:
        """Whether the output has neighbouring pixels together while the tile has neighbouring filters
        together.
        """
        return not (self.channels_last_output or self.across)

    @property
    def at_once(self) -> bool:
        """Whether the sums are stored to the output straight from registers, without a copy of the tile
        between.
        """
        return self.slack and (self.channels_last_output or self.across)

    @property
    def vector_run(self) -> int:
        """Elements of a tile along the direction of its vectors."""
        return self.lanes * self.vectors
