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
    """The input has the border that it needs and is read in place."""
    filters_innermost: bool = False
    """So are the weights, in whole blocks; those of words always are."""
    bordered: bool = False
    """The input is a copy for the kernel, with its border and slack."""
    joinable: bool = False
    """The output's rows have no gaps between them."""
    planes: bool = False
    """Pixels of a row are neighbours in the output and are, or can be, in the input."""
    threads: Whole = 1

    @property
    def arithmetic(self) -> Site:
        return SITES[self.site]

    @property
    def packed_filters(self) -> bool:
        """The weights come with their filters innermost."""
        return self.filters_innermost or self.arithmetic.of_words

    @property
    def narrow(self) -> bool:
        """Fewer channels than filter columns."""
        return self.extents.channels < self.extents.filter_x
