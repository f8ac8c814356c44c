"""The cells of NAS-Bench-201, written as published: Dong and Yang, ICLR 2020, section 2.1. This file needs no
torch.

A cell has four nodes. Each of its six edges i → j, i < j, is one of five operations, and a node is the sum of
its incoming edges. There are 5⁶ = 15,625 cells.
"""

from __future__ import annotations

from collections.abc import Sequence

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""`none` removes the edge and computes nothing."""
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from, to) of each edge, in the order in which a cell is written."""
CELLS = len(OPERATIONS) ** len(EDGES)


def cell_text(operations: Sequence[str]) -> str:
    """`|a~0|+|b~0|c~1|+|d~0|e~1|f~2|`, the published notation of a cell. ~i is the node at which the edge
    begins.
    """
    nodes = (
        "".join(f"|{op}~{start}" for op, (start, end) in zip(operations, EDGES, strict=True) if end == node)
        for node in (1, 2, 3)
    )
    return "+".join(f"{node}|" for node in nodes)


def cell_at(index: int) -> tuple[str, ...]:
    """The operations of cell number `index` of `CELLS`. The last edge changes fastest."""
    digits = []
    for _ in EDGES:
        index, digit = divmod(index, len(OPERATIONS))
        digits.append(OPERATIONS[digit])
    return tuple(reversed(digits))
