"""Adder layers by maxima: -Σ|x - w| = Σ x + Σ w - 2 Σ max(x, w).

A site takes two vector operations, a maximum and an addition. By differences it takes three: a subtraction, a
mask that clears the sign, and an addition. The sums of the inputs under a window are the same for all
filters, and those of a filter's weights are the same for all windows, so they cost little.

The price is precision. The sums cancel where inputs and weights are nearly equal: an output loses about
(Σ|x| + Σ|w|) / Σ|x - w| times as much precision as by differences. That is 1.4 for independent normal numbers
of equal spread. The kernel marks an output where it is above `WORST_CONDITION`, or where an operand is not
finite, as NaN. If any output is NaN, the whole layer is computed again by differences.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from addercost.kernels.cpu.dense.buffers import BufferLayout, Launch
from addercost.kernels.cpu.dense.sum_loops import search_for_nan
from addercost.kernels.cpu.dense.window_sums import WindowSumsPlan
from addercost.kernels.cpu.ir.build import as_array
from addercost.kernels.cpu.processor import vector_bytes
from addercost.kernels.cpu.shares import NativeCall, run_shares, shares

_FP32_BYTES = 4


@dataclass(frozen=True, slots=True)
class LaunchByMaxima:
    """A kernel of maxima with the sums that it needs. It is called as a `Launch` is.

    sums_elements: of the memory for the sums, with slack. search: finds NaN in the output. differences: the
    kernel that computes the same by differences.
    """

    sums: WindowSumsPlan
    sums_elements: int
    maxima: Launch
    search: tuple[NativeCall, ...]
    differences: Launch

    def __call__(self, *addresses: int) -> None:
        """Runs on the tensors that begin at these addresses. The output's address is the last."""
        image, weight, *others = addresses
        sums = torch.empty(self.sums_elements, dtype=torch.float32)
        self.sums.write(image, sums.data_ptr())
        self.maxima(image, weight, sums.data_ptr(), *others)
        if run_shares(self.search, others[-1], others[-1]):
            self.differences(*addresses)


def sums_layout(sink: BufferLayout, tile: int) -> tuple[BufferLayout, int]:
    """The layout of the sums for an output [N, P, Q, G, K], as [2, G, N, P, Q], and the elements of its
    memory. The last tile of a row reads on into the next row.

    tile: columns of the output in a tile.
    """
    n, p, q, groups, _ = sink.size
    columns = -(-q // tile) * tile
    plane = p * q
    layout = BufferLayout.strided((2, groups, n, p, columns), (groups * n * plane, n * plane, plane, q, 1))
    return layout, 2 * groups * n * plane + columns - q


def search_of(elements: int, threads: int, dtype: torch.dtype) -> tuple[NativeCall, ...]:
    """The search for NaN in an output of so many neighbouring elements of this format."""
    loop = search_for_nan(vector_bytes() // _FP32_BYTES, dtype)
    return tuple(
        NativeCall(loop, dtype.itemsize * share.first_row, 0, as_array((share.rows,)))
        for share in shares(1, elements, elements, threads)
    )
