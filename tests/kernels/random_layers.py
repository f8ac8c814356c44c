"""Layers drawn at random, every CPU kernel of each against the reference.

The tests run a few; `python -m tests.kernels.random_layers --seconds 600 --seed 3` runs many and prints each
that differs, is refused or fails, with the seed that draws it again.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from addercost.kernels import dispatch, reference, signs
from addercost.kernels.problem import Geometry, output_layout
from addercost.kernels.store import NO_LIMITS, RELU, Codes, Store

if TYPE_CHECKING:
    from addercost.kernels.cpu.dense.request import KernelRequest

_CHANNELS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 40, 64, 70, 130, 300, 456)
_FILTERS = (1, 2, 5, 6, 8, 10, 16, 17, 24, 32, 33, 64, 70, 128, 200)
_FILTER_SIZES = ((1, 1), (1, 1), (3, 3), (3, 3), (5, 5), (1, 3), (3, 1), (2, 4), (7, 1), (1, 6))
_LIMITS = (NO_LIMITS, RELU, (-1.0, 1.0))
_MOST_SITES = 20_000_000


@dataclass(frozen=True)
class RandomLayer:
    """What is drawn; `image` is [N, C, H, W], `filters` [K, C/G, R, S]."""

    seed: int
    image: tuple[int, int, int, int]
    filters: tuple[int, int, int, int]
    geometry: Geometry
    threads: int

    @property
    def output_size(self) -> tuple[int, int]:
        return self.geometry.output_size((self.image[2], self.image[3]), (self.filters[2], self.filters[3]))

    @property
    def sites(self) -> int:
        p, q = self.output_size
        k, c, r, s = self.filters
        return self.image[0] * p * q * k * c * r * s if min(p, q) > 0 else 0


def drawn(seed: int) -> RandomLayer:
    """The layer of a seed: not empty, and small enough for the reference."""
    rng = random.Random(seed)
    while True:
        groups, channels, filters = rng.choice((1, 1, 1, 2, 3)), rng.choice(_CHANNELS), rng.choice(_FILTERS)
        if rng.random() < 0.1:
            channels, filters, groups = 1, 1, rng.choice((3, 16, 33, 70))

        def pair(*choices: int) -> tuple[int, int]:
            return rng.choice(choices), rng.choice(choices)

        geometry = Geometry(pair(1, 1, 2, 3), pair(0, 1, 2, 3), pair(1, 1, 2), groups)
        image = (rng.choice((1, 1, 2, 3, 5)), groups * channels, rng.randint(1, 30), rng.randint(1, 40))
        size = rng.choice(_FILTER_SIZES)
        layer = RandomLayer(
            seed, image, (groups * filters, channels, *size), geometry, rng.choice((1, 1, 2, 3))
        )
        if 0 < layer.sites <= _MOST_SITES:
            return layer


def differences(layer: RandomLayer) -> Iterator[str]:
    """What is wrong with any kernel of it, `ADDERCOST_KERNEL` being "halide"."""
    rng = random.Random(~layer.seed)
    torch.manual_seed(layer.seed)
    geometry, (k, *_) = layer.geometry, layer.filters

    def image(size: tuple[int, ...], make: Callable[..., Tensor] = torch.randn) -> Tensor:
        """In one layout or the other, or every second column of something."""
        match rng.randrange(5):
            case 0 | 1:
                return make(size)
            case 2:
                return make((*size[:3], 2 * size[3]))[..., ::2]
            case _:
                return make(size).contiguous(memory_format=torch.channels_last)

    def codes(size: tuple[int, ...]) -> Tensor:
        return torch.randint(0, 256, size, dtype=torch.uint8)

    x, w = image(layer.image), image(layer.filters)
    grad = image((layer.image[0], k, *layer.output_size))
    bytes_, weight_bytes = image(layer.image, codes), image(layer.filters, codes)
    words = signs.pack_filters(w, geometry.groups)
    factors = signs.pack_factors(torch.rand(k), torch.randn(k), geometry.groups)
    whole_words = geometry.groups == 1 or layer.filters[1] % signs.WORD == 0
    shortcut = rng.choice((None, grad))
    bias, zero = rng.choice((None, torch.randn(k))), rng.choice((0, 7, 128, 255))
    exact: dict[str, tuple[object, ...]] = {
        "binary_forward": (x, w, geometry),
        "binary_packed_forward": (x, words, factors, tuple(w.shape), geometry),
        "binary_fused_forward": (
            *(x, words, factors, tuple(w.shape), geometry),
            *(Store(*rng.choice(_LIMITS)), shortcut),
        ),
        "binary_signs_forward": (
            signs.pack_image(x) if whole_words and rng.random() < 0.5 else x,
            *(words, factors, tuple(w.shape), geometry),
        ),
        "adder_u8_forward": (bytes_, weight_bytes, geometry),
        "adder_quantized_forward": (x, weight_bytes, torch.tensor(0.013), bias, zero, geometry),
        "adder_coded_forward": (
            rng.choice((x, bytes_)),
            weight_bytes,
            factors,
            Codes(0.125, zero),
            geometry,
            Store(*rng.choice(_LIMITS), rng.choice((None, Codes(3.5, zero)))),
            shortcut,
        ),
    }
    rounded: dict[str, tuple[object, ...]] = {
        "adder_forward": (x, w, geometry),
        "adder_fused_forward": (x, w, factors, geometry, Store(*rng.choice(_LIMITS)), shortcut),
        "shift_forward": (x, w, geometry),
        "adder_input_gradient": (grad, x, w, geometry, rng.choice(("full", "full", "sign"))),
        "adder_weight_gradient": (grad, x, w, geometry, "sign"),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(layer.threads)
    try:
        for name, arguments in (exact | rounded).items():
            try:
                found = getattr(dispatch, name)(*arguments)
                expected = getattr(reference, name)(*arguments)
                tolerance = 0.0 if name in exact else 1e-4
                torch.testing.assert_close(found, expected, rtol=tolerance, atol=50 * tolerance)
            except (AssertionError, RuntimeError, dispatch.KernelUnavailableError) as error:
                yield f"{name}: {str(error).strip().partition(chr(10))[0]}"
    finally:
        torch.set_num_threads(threads)


def candidate_differences(layer: RandomLayer, number: int) -> Iterator[str]:
    """What is wrong with any of `number` schedules that a search may choose for each kernel of it."""
    from addercost.kernels.cpu.binary import convolution as binary
    from addercost.kernels.cpu.dense import convolution as dense
    from addercost.kernels.cpu.dense.candidates import candidates
    from addercost.kernels.cpu.depthwise import convolution as depthwise
    from addercost.kernels.cpu.processor import host_core
    from addercost.kernels.cpu.u8 import convolution as u8

    if depthwise.takes(layer.filters, layer.geometry.groups):
        return
    rng = random.Random(~layer.seed)
    torch.manual_seed(layer.seed)
    geometry, layout = layer.geometry, rng.choice((torch.contiguous_format, torch.channels_last))
    x, w = torch.randn(layer.image).contiguous(memory_format=layout), torch.randn(layer.filters)
    codes, weight_codes = (torch.randint(0, 256, t.shape, dtype=torch.uint8) for t in (x, w))
    codes = codes.contiguous(memory_format=layout)
    words = signs.pack_filters(w, geometry.groups)
    factors = signs.pack_factors(torch.rand(w.shape[0]), torch.randn(w.shape[0]), geometry.groups)
    scale, addend = signs.unpack_factors(factors, w.shape[0])
    packed = (x, words, factors, tuple(w.shape), geometry)
    store = Store(*RELU, Codes(25.0, 3))
    kernels: list[tuple[str, KernelRequest, Callable[..., Tensor | None], Tensor, float]] = [
        (
            "binary",
            binary.request_of(x, layer.filters, geometry),
            partial(binary.convolve, *packed, output_layout(x)),
            reference.binary_packed_forward(*packed),
            0,
        ),
        (
            "adder_u8",
            u8.request_of(codes, weight_codes, geometry),
            partial(u8.convolve, codes, weight_codes, geometry, factors, None, 0),
            reference.adder_u8_forward(codes, weight_codes, geometry) * scale[:, None, None]
            + addend[:, None, None],
            0,
        ),
        (
            "adder_u8 to codes",
            u8.request_of(codes, weight_codes, geometry),
            partial(u8.convolve, codes, weight_codes, geometry, factors, None, 0, store=store),
            store.of(reference.adder_u8_forward(codes, weight_codes, geometry).float(), scale, addend),
            0,
        ),
        (
            "adder with factors",
            dense.request_of("adder_scaled", x, w, geometry),
            partial(dense.convolve, "adder_scaled", x, w, geometry, factors=factors, store=Store(*RELU)),
            Store(*RELU).of(reference.adder_forward(x, w, geometry), scale, addend),
            1e-4,
        ),
        *(
            (
                site,
                dense.request_of(site, x, w, geometry),
                partial(dense.convolve, site, x, w, geometry),
                forward(x, w, geometry),
                1e-4,
            )
            for site, forward in (("adder", reference.adder_forward), ("mac_powers", reference.shift_forward))
        ),
    ]
    threads = torch.get_num_threads()
    torch.set_num_threads(layer.threads)
    try:
        for name, request, run, expected, tolerance in kernels:
            allowed = list(candidates(replace(request, threads=layer.threads), host_core()))
            for schedule in rng.sample(allowed, min(number, len(allowed))):
                try:
                    torch.testing.assert_close(
                        run(schedule=schedule), expected, rtol=tolerance, atol=50 * tolerance
                    )
                except (AssertionError, RuntimeError) as error:
                    yield f"{name} by {schedule}: {str(error).strip().partition(chr(10))[0]}"
    finally:
        torch.set_num_threads(threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--candidates", type=int, default=0, help="instead so many schedules of each kernel, drawn"
    )
    options = parser.parse_args()
    os.environ[dispatch.VARIABLE] = "halide"
    end, seed = time.monotonic() + options.seconds, options.seed
    while time.monotonic() < end:
        layer = drawn(seed)
        found = candidate_differences(layer, options.candidates) if options.candidates else differences(layer)
        for difference in found:
            print(layer, difference, flush=True)
        seed += 1
    print(f"seeds {options.seed} to {seed - 1}")


if __name__ == "__main__":
    main()
