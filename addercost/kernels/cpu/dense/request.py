"""What a caller asks of a kernel: everything that the choice of a schedule may depend on."""

from __future__ import annotations

from dataclasses import dataclass

from addercost.kernels.cpu.dense.extents import Extents
from addercost.kernels.cpu.dense.sites import SITES, Site
from addercost.reading import Whole


@dataclass(frozen=True, slots=True)
class KernelRequest:
    site: str
    extents: Extents
    channels_last_input: bool
    channels_last_output: bool
    direct: bool
    """The input already has the border that it needs, and the kernel reads it in place."""
    filters_innermost: bool = False
    """The weights are stored with their filters innermost, in whole blocks. Weights of words always are."""
    bordered: bool = False
    """The input is a copy made for the kernel, with a border and slack."""
    joinable: bool = False
    """There are no gaps between the rows of the output."""
    planes: bool = False
    """The pixels of a row are neighbours in the output. In the input they are neighbours or can be
    made so.
    """
    threads: Whole = 1

    @property
    def arithmetic(self) -> Site:
        return SITES[self.site]

    @property
    def packed_filters(self) -> bool:
        """Whether the weights come with their filters innermost."""
        return self.filters_innermost or self.arithmetic.of_words

    @property
    def narrow(self) -> bool:
        """Whether there are fewer channels than filter columns."""
        return self.extents.channels < self.extents.filter_x
