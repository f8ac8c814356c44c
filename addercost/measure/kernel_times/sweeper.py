"""Fills caches with other data."""

from __future__ import annotations

import torch


class Sweeper:
    """Fills caches with other data by reading and writing a buffer of `n_bytes`."""

    def __init__(self, n_bytes: int) -> None:
        self._buffer = torch.ones(max(n_bytes // 4, 1))

    def __call__(self) -> None:
        self._buffer.neg_()
