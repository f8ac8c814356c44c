"""Layers whose kernels can be tuned: the key of each layer's schedule, and how to run the layer by a
schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from addercost.kernels.cpu.binary import convolution as binary
from addercost.kernels.cpu.binary import lookup
from addercost.kernels.cpu.dense import convolution as dense
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.depthwise import convolution as depthwise
from addercost.kernels.cpu.u8 import convolution as u8
from addercost.kernels.problem import Geometry, output_layout
from addercost.kernels.signs import pack_factors, pack_filters
from addercost.measure.case import LayerCase
from addercost.measure.contenders.contender import Place
from addercost.measure.contenders.own import images
from addercost.measure.contenders.random_data import random_codes, random_tensor
from addercost.measure.session import LAYOUTS

ZOO = ("zoo:resnet18", "zoo:resnet20-cifar", "zoo:resnet50", "zoo:lenet5-bn")
"""The networks whose layers are tuned where none is named."""


@dataclass(frozen=True, slots=True)
class TunableLayer:
    """A layer that can be tuned. run: computes the layer once by a schedule."""

    case: LayerCase
    layout: str
    family: str
    request: KernelRequest
    run: Callable[[Schedule], object]

    @property
    def text(self) -> str:
        return f"{self.family} {self.case.text} {self.layout}"


def tunable_layers(
    cases: Iterable[LayerCase], layouts: Iterable[str], families: Iterable[str]
) -> Iterator[Callable[[], TunableLayer]]:
    """Functions that make each layer with its tensors. Depthwise layers, and layers whose signs are looked
    up, are left out: they have other loops, without a schedule.
    """
    layouts, families = tuple(layouts), tuple(families)
    for case in cases:
        if depthwise.takes((case.filters, case.channels // case.groups, *case.filter_size), case.groups):
            continue
        # A linear layer's rows have only one layout.
        for layout in layouts[:1] if case.linear else layouts:
            for family in families:
                if family == "xnor" and _looked_up(case):
                    continue
                place = Place(torch.device("cpu"), LAYOUTS[layout])
                yield partial(_made, case, layout, family, place)


def _looked_up(case: LayerCase) -> bool:
    shape = (case.filters, case.channels // case.groups, *case.filter_size)
    return lookup.takes(shape, Geometry(case.stride, case.padding, case.dilation, case.groups))


def _made(case: LayerCase, layout: str, family: str, place: Place) -> TunableLayer:
    weight_place = Place(place.device, torch.contiguous_format)
    if family == "adder_u8":
        x = random_codes(case.input_shape, place, 0, 256, torch.uint8)
        w = random_codes(case.weight_shape, place, 0, 256, torch.uint8)
    else:
        x = random_tensor(case.input_shape, place, torch.float32)
        w = random_tensor(case.weight_shape, weight_place, torch.float32)
    x, w, geometry = images(case, x, w)
    request, run = _FAMILIES[family](x, w, geometry)
    return TunableLayer(case, layout, family, request, run)


Tunable = tuple[KernelRequest, Callable[[Schedule], object]]


def _floats(site: str, x: Tensor, w: Tensor, geometry: Geometry) -> Tunable:
    return dense.request_of(site, x, w, geometry), partial(dense.convolve, site, x, w, geometry)


def _dense(x: Tensor) -> Tensor:
    """The images in contiguous or channels-last memory. Kernels of packed inputs read these two layouts."""
    if x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last):
        return x
    return x.contiguous()


def _bytes(x: Tensor, w: Tensor, geometry: Geometry) -> Tunable:
    x = _dense(x)
    factors = pack_factors(torch.rand(w.shape[0]), None, geometry.groups)

    def run(schedule: Schedule) -> Tensor:
        return u8.convolve(x, w, geometry, factors, schedule=schedule)

    return u8.request_of(x, w, geometry), run


def _signs(x: Tensor, w: Tensor, geometry: Geometry) -> Tunable:
    x = _dense(x)
    words, (k, c, r, s) = pack_filters(w, geometry.groups), w.shape
    shape = (k, c, r, s)
    factors = pack_factors(torch.rand(w.shape[0]), None, geometry.groups)
    layout = output_layout(x)

    def run(schedule: Schedule) -> Tensor | None:
        return binary.convolve(x, words, factors, shape, geometry, layout, schedule)

    return binary.request_of(x, shape, geometry), run


_FAMILIES: dict[str, Callable[[Tensor, Tensor, Geometry], Tunable]] = {
    "adder": partial(_floats, "adder"),
    "mac": partial(_floats, "mac"),
    "adder_u8": _bytes,
    "xnor": _signs,
}
