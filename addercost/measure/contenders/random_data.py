"""Random tensors for contenders. A shape gets the same values in every run."""

from __future__ import annotations

import torch

from addercost.measure.contenders.contender import Place


def random_tensor(shape: tuple[int, ...], place: Place, dtype: torch.dtype) -> torch.Tensor:
    """A tensor of standard normal values. A tensor of four dimensions, an image, has the place's layout."""
    made = torch.randn(shape, generator=_generator(shape, place), device=place.device)
    return laid_out(made.to(dtype), place)


def random_codes(
    shape: tuple[int, ...], place: Place, low: int, high: int, dtype: torch.dtype
) -> torch.Tensor:
    """A tensor of uniform whole numbers from `low` to `high` - 1."""
    made = torch.randint(
        low, high, shape, generator=_generator(shape, place), dtype=dtype, device=place.device
    )
    return laid_out(made, place)


def laid_out(tensor: torch.Tensor, place: Place) -> torch.Tensor:
    """`tensor` moved to the place's device. A tensor of four dimensions, an image, gets the place's
    layout.
    """
    tensor = tensor.to(place.device)
    return tensor.contiguous(memory_format=place.layout) if tensor.dim() == 4 else tensor


def _generator(shape: tuple[int, ...], place: Place) -> torch.Generator:
    """A random generator on the device itself. Making a large batch on the CPU and copying it would take
    longer than timing the layer.
    """
    return torch.Generator(place.device).manual_seed(len(shape) * 1009 + shape[0])
