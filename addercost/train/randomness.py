"""Every random choice as a pure function of the seed and of what it is for.

Therefore no generator has a state that a checkpoint would have to contain. The choices for an image are the
same in whichever process or worker it is loaded.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def derived_seed(*parts: int | str) -> int:
    """A 63-bit number; different `parts` give different ones."""
    text = "/".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator seeded by `parts`."""
    return torch.Generator().manual_seed(derived_seed(*parts))


def shuffled(count: int, seed: int, epoch: int) -> Tensor:
    """The order of `count` training images in an epoch: [count] int64."""
    return torch.randperm(count, generator=generator("order", seed, epoch))
