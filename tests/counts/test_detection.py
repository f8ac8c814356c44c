"""torchvision's operators against loops over counting numbers. torch cannot load the operators beside every
build of torchvision, so the calls are written here as the tracer records them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from addercost.arithmetic import OpCounts
from addercost.counts.call_work import work_of
from addercost.counts.conventions import CONVENTIONS
from addercost.counts.rules.ordering import merge_sort_compares
from addercost.trace.record import ArgValue, OpCall, TensorSpec
from addercost.trace.sampled_regions import SAMPLED
from tests.counts.scalar import SITES, Array, Number, numbers, site, total


def call(op: str, out: tuple[int, ...], **args: Any) -> OpCall:
    given: dict[str, ArgValue] = {
        name: TensorSpec(value, "float32", "parameter" if name == "weight" else "activation")
        if isinstance(value, tuple)
        else value
        for name, value in args.items()
    }
    return OpCall(f"torchvision.{op}.default", "", given, (TensorSpec(out, "float32"),), 0)


def full(made: OpCall) -> OpCounts:
    work = work_of(made)
    assert work is not None
    return CONVENTIONS["full"].counts(made, work)


def random(*shape: int, low: float = -1.0, high: float = 1.0, tally: Counter[str]) -> Array:
    return numbers(torch.empty(shape, dtype=torch.float64).uniform_(low, high), tally)


def floor(value: Number) -> Any:
    return value.apply("add", math.floor)


def at_least(value: Number, bound: float) -> Number:
    return value.apply("compare", max, bound)


def between(image: Array, weights: list[Number], top: int, left: int) -> Number:
    """The sum of four weighted pixels; beyond the border they are zeros."""

    def at(y: int, x: int) -> Any:
        inside = 0 <= y < image.shape[0] and 0 <= x < image.shape[1]
        return image[y, x] if inside else 0.0

    corners = itertools.product((0, 1), (0, 1))
    found: Number = total(w * at(top + i, left + j) for w, (i, j) in zip(weights, corners, strict=True))
    return found


def split(value: Number) -> tuple[int, list[Number]]:
    """Where the pixel before is, and the shares of it and of the next."""
    low = floor(value)
    rest = value - low
    return int(low.value), [1 - rest, rest]


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize(("groups", "offset_groups"), [(1, 1), (2, 1), (1, 2)])
def test_deformable_convolution(groups: int, offset_groups: int, mask: bool) -> None:
    n, c, k, r, s, p, q = 2, 2, 4, 2, 3, 2, 2
    tally: Counter[str] = Counter()
    x, w = random(n, c, 4, 5, tally=tally), random(k, c // groups, r, s, tally=tally)
    offset = random(n, offset_groups, r, s, 2, p, q, tally=tally)
    factors = random(n, offset_groups, r, s, p, q, tally=tally)
    bias = random(k, tally=tally)
    for i, y, z in np.ndindex(n, p, q):
        taps: dict[tuple[int, int, int], Number] = {}
        for o, a, b in np.ndindex(offset_groups, r, s):
            top, rows = split(offset[i, o, a, b, 0, y, z] + float(y + a))
            left, columns = split(offset[i, o, a, b, 1, y, z] + float(z + b))
            weights = [v * h for v in rows for h in columns]
            for channel in range(o * c // offset_groups, (o + 1) * c // offset_groups):
                value = between(x[i, channel], weights, top, left)
                taps[channel, a, b] = value * factors[i, o, a, b, y, z] if mask else value
        for f in range(k):
            first = f // (k // groups) * (c // groups)
            (
                total(site(w[f, m, a, b], taps[first + m, a, b]) for m, a, b in np.ndindex(c // groups, r, s))
                + bias[f]
            )
    sites = tally.pop(SITES)
    made = call(
        "deform_conv2d",
        (n, k, p, q),
        input=(n, c, 4, 5),
        weight=(k, c // groups, r, s),
        offset=(n, 2 * offset_groups * r * s, p, q),
        mask=(n, offset_groups * r * s, p, q),
        bias=(k,),
        use_mask=mask,
    )
    work = work_of(made)
    assert work is not None and work.mac_sites == sites
    assert {name: m for name, m in full(made).by_class().items() if m} == dict(tally)


@pytest.mark.parametrize("op", ["roi_align", "roi_align aligned", "ps_roi_align"])
@pytest.mark.parametrize("samples", [1, 2, -1])
def test_aligned_regions(op: str, samples: int) -> None:
    """Where the number of samples is not given, it is the side of a bin, rounded up."""
    boxes, p, q, height = 2, 2, 3, 9
    scale = 2.0
    sensitive, aligned = op.startswith("ps_"), op.endswith("aligned")
    channels = 2
    tally: Counter[str] = Counter()
    image = random(channels * (p * q if sensitive else 1), height, height, tally=tally)
    rois = random(boxes, 4, low=0, high=1, tally=tally)
    for box, side in itertools.product(rois, (2, 3)):
        box[side].value += 1.5
    for b in range(boxes):
        corners = [v * scale for v in rois[b]]
        if sensitive or aligned:
            corners = [v - 0.5 for v in corners]
        sides = [corners[2] - corners[0], corners[3] - corners[1]]
        if sensitive or not aligned:
            sides = [at_least(side, 1.0) for side in sides]
        axes = []
        for start, side, bins in ((corners[1], sides[1], p), (corners[0], sides[0], q)):
            size = side / bins
            each = samples if samples > 0 else max(int(size.apply("add", math.ceil).value), 0)
            along = []
            for i, j in np.ndindex(bins, each):
                at = start + size * float(i) + size * (j + 0.5) / max(each, 1)
                along.append(split(at_least(at, 0.0)))
            axes.append(along)
        weights = {
            (y, x): [v * h for v in axes[0][y][1] for h in axes[1][x][1]]
            for y, x in np.ndindex(len(axes[0]), len(axes[1]))
        }
        rows, columns = len(axes[0]) // p, len(axes[1]) // q
        for channel, i, j in np.ndindex(channels, p, q):
            source = image[channel * p * q + i * q + j] if sensitive else image[channel]
            places = [(i * rows + a, j * columns + b) for a, b in np.ndindex(rows, columns)]
            values = [between(source, weights[y, x], axes[0][y][0], axes[1][x][0]) for y, x in places]
            total(iter(values)) / (rows * columns)
    given = {
        "rois": torch.tensor([[0.0, *(v.value for v in box)] for box in rois]),
        "spatial_scale": scale,
        "pooled_height": p,
        "pooled_width": q,
        "sampling_ratio": samples,
        "aligned": aligned,
    }
    made = call(
        op.split()[0],
        (boxes, channels, p, q),
        input=(1, image.shape[0], height, height),
        rois=(boxes, 5),
        sampling_ratio=samples,
        aligned=aligned,
        **SAMPLED[f"torchvision.{op.split()[0]}"](given),
    )
    assert {name: m for name, m in full(made).by_class().items() if m} == dict(tally)


def test_regions_whose_size_decides_the_samples_are_not_counted() -> None:
    made = call("roi_align", (2, 3, 2, 2), input=(1, 3, 8, 8), rois=(2, 5), sampling_ratio=-1, aligned=False)
    assert work_of(made) is None


@pytest.mark.parametrize("op", ["roi_align", "ps_roi_align"])
def test_gradients_of_aligned_regions(op: str) -> None:
    """Beside the places, which both directions compute: a forward sample is four products and their sum with
    the others; a backward one is four products, each added to a pixel. Both divide once for each output.
    """
    boxes, channels, p, q, s = 2, 3, 2, 4, 2
    shared: dict[str, Any] = {"rois": (boxes, 5), "sampling_ratio": s, "aligned": True}
    forward = full(call(op, (boxes, channels, p, q), input=(1, channels, 6, 6), **shared))
    backward = full(call(f"_{op}_backward", (1, channels, 6, 6), grad=(boxes, channels, p, q), **shared))
    outputs = boxes * channels * p * q
    more = {name: backward.by_class()[name] - n for name, n in forward.by_class().items()}
    assert {name: n for name, n in more.items() if n} == {"add": outputs}
    unknown = call(f"_{op}_backward", (1, channels, 6, 6), grad=(boxes, channels, p, q), sampling_ratio=0)
    assert work_of(unknown) is None


def test_gradients_of_largest_values_are_added_to_them() -> None:
    made = call("_roi_pool_backward", (1, 3, 8, 8), grad=(2, 3, 2, 2), rois=(2, 5), argmax=(2, 3, 2, 2))
    assert {name: n for name, n in full(made).by_class().items() if n} == {"add": 2 * 3 * 2 * 2}


@pytest.mark.parametrize("op", ["roi_pool", "ps_roi_pool", "_ps_roi_pool_backward"])
def test_bins_whose_size_the_boxes_decide_are_not_counted(op: str) -> None:
    assert work_of(call(op, (2, 3, 2, 2), input=(1, 3, 8, 8), grad=(2, 3, 2, 2), rois=(2, 5))) is None


@pytest.mark.parametrize("mask", [False, True])
def test_gradients_of_deformable_convolution(mask: bool) -> None:
    """By loops over the taps, with one image, one group and one group of offsets."""
    c, k, r, p = 2, 3, 2, 3
    tally: Counter[str] = Counter()
    image, columns = random(c, 6, 6, tally=tally), random(c, r, r, p, p, tally=tally)
    masks = random(r, r, p, p, tally=tally)
    for y, x in itertools.product(range(p), range(p)):
        for i, j in itertools.product(range(r), range(r)):
            place = random(2, tally=tally)
            (_, v), (_, h) = split(place[0] + 0.5), split(place[1] + 0.5)
            weights = [a * b for a in v for b in h]
            for channel in range(c):
                value, given = between(image[channel], weights, 2, 2), columns[channel, i, j, y, x]
                corners = [image[channel, 2 + a, 2 + b] for a, b in np.ndindex(2, 2)]
                read = value * masks[i, j, y, x] if mask else value
                assert read is not None
                if mask:
                    value * given + value
                    given = given * masks[i, j, y, x]
                for w, pixel in zip(weights, corners, strict=True):
                    pixel + w * given
                down = (corners[2] - corners[0]) * h[0] + (corners[3] - corners[1]) * h[1]
                right = (corners[1] - corners[0]) * v[0] + (corners[3] - corners[2]) * v[1]
                for slope in (down, right):
                    value + slope * given
    made = call(
        "_deform_conv2d_backward",
        (1, c, 6, 6),
        grad=(1, k, p, p),
        input=(1, c, 6, 6),
        weight=(k, c, r, r),
        offset=(1, 2 * r * r, p, p),
        use_mask=mask,
    )
    work = work_of(made)
    sites = k * p * p * c * r * r
    assert work is not None and [part.count for part in work.sites] == [sites, sites]
    # Σ over the pixels of the gradient for each filter's bias.
    tally["add"] += k * (p * p - 1)
    assert {name: n for name, n in work.other.by_class().items() if n} == dict(tally)


def test_suppression_of_boxes_that_all_stay() -> None:
    n = 5
    tally: Counter[str] = Counter()
    corners = random(n, 4, low=0, high=1, tally=tally)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in corners]
    for i in range(n):
        for j in range(i):
            low = [max(corners[i][a], corners[j][a]) for a in (0, 1)]
            high = [min(corners[i][a], corners[j][a]) for a in (2, 3)]
            common = at_least(high[0] - low[0], 0.0) * at_least(high[1] - low[1], 0.0)
            assert (common / (areas[i] + areas[j] - common) > 2.0) is not None
    tally["compare"] += merge_sort_compares(n)
    made = call("nms", (n,), dets=(n, 4), scores=(n,), iou_threshold=0.5)
    assert {name: m for name, m in full(made).by_class().items() if m} == dict(tally)
