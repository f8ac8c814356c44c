"""The sizes of a run. They decide which kernel class is used and how its work is cut into tasks."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Extents:
    """The sizes of one run. Channels and filters are per group."""

    images: int
    channels: int
    filters: int
    rows: int
    columns: int
    filter_y: int
    filter_x: int
    stride_y: int
    stride_x: int
    dilation_y: int
    scratch_columns: int

    @property
    def scratch_elements(self) -> int:
        """Elements of an image with its border."""
        rows = self.stride_y * (self.rows - 1) + self.dilation_y * (self.filter_y - 1) + 1
        return rows * self.scratch_columns * self.channels

    def joined(self) -> Extents:
        """The same extents with all rows of an image joined into one."""
        return replace(self, rows=1, columns=self.rows * self.columns)


def rounded(size: int, step: int) -> int:
    """`size` rounded up to a multiple of `step`."""
    return -(-size // step) * step
