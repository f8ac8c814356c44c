"""Networks in 8 bits for a validation: statically quantised, with random weights and one random input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor, nn

from addercost.errors import ModelError
from addercost.layers import statically_quantized
from addercost.measure.whole_model import filled
from addercost.sources.build import build_real

INT8 = "int8"


@contextmanager
def same_engine() -> Iterator[None]:
    """Sets torch's engine for quantised modules again after the block. Raises ModelError where the block has
    set another one, as makers of quantised networks do: other kernels then run than a calibration times.
    """
    engine = torch.backends.quantized.engine
    try:
        yield
        if (other := torch.backends.quantized.engine) != engine:
            raise ModelError(f"it is quantised for the engine {other}, and kernels of {engine} are timed")
    finally:
        torch.backends.quantized.engine = engine


@lru_cache(maxsize=1)
def quantized(
    make: Callable[[], nn.Module], inputs: tuple[Tensor, ...]
) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """(the network after static quantisation, the random inputs of a forward). The weights are random and the
    same in each call. The last result is kept, since a network is timed after it was traced.

    make: builds the network with its weights. inputs: the arguments of one forward, without data. Raises
    ModelError for a network that has no 8-bit form, or one that is quantised for another engine.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        with same_engine():
            model = build_real(make).eval()
        data = tuple(filled(x, torch.float32, torch.device("cpu")) for x in inputs)
        return statically_quantized(model, *data), data
