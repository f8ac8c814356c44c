"""A space of all 15,625 cells of NAS-Bench-201, with their published names."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from addercost.models.nasbench201_cells import CELLS, cell_at, cell_text
from addercost.sweep.spaces.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn


class NasBench201Cells(Sequence[Architecture]):
    """Cell `i` in the order of `cell_at`, in the network for CIFAR-10."""

    def __len__(self) -> int:
        return int(CELLS)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        operations = cell_at(index)
        make = functools.partial(_network, operations, stand_ins=True)
        whole = functools.partial(_network, operations, stand_ins=False)
        return Architecture(cell_text(operations), make, _cifar_images, stand_ins=True, make_whole=whole)


def _network(operations: Sequence[str], stand_ins: bool) -> nn.Module:
    # Imported only when a network is made, since the sweep's own process needs only names, without torch.
    from addercost.models.nasbench201 import NasBench201

    return NasBench201(operations, stand_ins=stand_ins)


def _cifar_images(batch: int) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    import torch

    return (torch.empty(batch, 3, 32, 32, device="meta"),), {}
