"""Random tensors for contenders, the same for a shape in every run."""

from __future__ import annotations

import torch

from addercost.measure.contenders.contender import Place


def random_tensor(shape: tuple[int, ...], place: Place, dtype: torch.dtype) -> torch.Tensor:
    """Standard normal values; an image, which has four dimensions, in the place's layout."""
    made = torch.randn(shape, generator=_generator(shape, place), device=place.device)
    return laid_out(made.to(dtype), place)


def random_codes(
    shape: tuple[int, ...], place: Place, low: int, high: int, dtype: torch.dtype
) -> torch.Tensor:
    """Uniform whole numbers from `low` up to `high` - 1."""
    made = torch.randint(
        low, high, shape, generator=_generator(shape, place), dtype=dtype, device=place.device
    )
    return laid_out(made, place)


def laid_out(tensor: torch.Tensor, place: Place) -> torch.Tensor:
    """`tensor` on the place's device; an image, which has four dimensions, in its layout."""
    tensor = tensor.to(place.device)
    return tensor.contiguous(memory_format=place.layout) if tensor.dim() == 4 else tensor


def _generator(shape: tuple[int, ...], place: Place) -> torch.Generator:
    """A generator of the device itself: making a large batch on the CPU and copying it would take longer than
    timing it."""
    return torch.Generator(place.device).manual_seed(len(shape) * 1009 + shape[0])
