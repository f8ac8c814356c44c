"""Adder layers by maxima: against fp64, beside nearly equal operands, and their sums and search alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from addercost.kernels import reference, signs
from addercost.kernels.problem import Geometry
from addercost.kernels.store import PLAIN, RELU, Store
from tests.kernels.geometries import GEOMETRIES, all_but, cases, in_turns
from tests.kernels.operands import operands

pytest.importorskip("halide", reason="the CPU kernels need halide")

from addercost.kernels.cpu.dense import convolution as dense
from addercost.kernels.cpu.dense.algorithm import WORST_CONDITION
from addercost.kernels.cpu.dense.candidates import may_use_maxima
from addercost.kernels.cpu.dense.extents import Extents
from addercost.kernels.cpu.dense.maxima import LaunchByMaxima, search_of
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.cpu.dense.rule import default_schedule
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.sites import in_half
from addercost.kernels.cpu.dense.window_sums import plan_window_sums
from addercost.kernels.cpu.processor import Core, host_core
from addercost.kernels.cpu.shares import run_shares

DENSE = [case for case in GEOMETRIES if "depthwise" not in case.id]
LAYERS = in_turns(
    all_but(("33-filters", "groups-of-35-channels", "1x1-padded-stride-3"), DENSE),
    nchw=torch.contiguous_format,
    nhwc=torch.channels_last,
)
FORMS = cases(plain="adder", fused="adder_scaled", shortcut="adder_shortcut")
POINTWISE = Geometry()
SMALL = (2, 16, 6, 7), (24, 3, 3), Geometry(padding=(1, 1))
FORMATS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
UNIT = 2.0**-24
"""Half the distance from 1 to the next fp32 number: the largest relative error of one rounding."""


def schedules(x: Tensor, w: Tensor, geometry: Geometry) -> tuple[Schedule, Schedule]:
    """The rule's schedule by differences, and by maxima."""
    rule = default_schedule(dense.request_of("adder", x, w, geometry))
    return replace(rule, by_maxima=False), replace(rule, by_maxima=True)


def both(x: Tensor, w: Tensor, geometry: Geometry = POINTWISE) -> tuple[Tensor, Tensor]:
    """The layer by differences, and by maxima."""
    return tuple(dense.convolve("adder", x, w, geometry, by) for by in schedules(x, w, geometry))


def without_fallback(x: Tensor, w: Tensor, geometry: Geometry) -> Tensor:
    """The output of the kernel of maxima alone."""
    plan = dense._planned(in_half("adder", x.dtype), x, w, geometry, schedules(x, w, geometry)[1])
    out = torch.empty(plan.shape, dtype=x.dtype, memory_format=dense.output_layout(x))
    x, w = dense._prepared(x, w, geometry, plan.transposed)
    sums = torch.empty(plan.launch.sums_elements)
    plan.launch.sums.write(x.data_ptr(), sums.data_ptr())
    plan.launch.maxima(x.data_ptr(), w.data_ptr(), sums.data_ptr(), out.data_ptr())
    return out


def magnitudes(x: Tensor, w: Tensor, geometry: Geometry) -> Tensor:
    """Σ|x| + Σ|w| of each output, in fp64."""
    ones = torch.ones_like(w, dtype=torch.float64)
    return (
        reference.shift_forward(x.double().abs(), ones, geometry)
        + w.double().abs().sum((1, 2, 3))[:, None, None]
    )


@pytest.mark.parametrize(("image", "filters", "geometry", "layout", "dtype"), in_turns(LAYERS, **FORMATS))
def test_maxima_give_the_exact_sums_up_to_rounding(
    image: Any, filters: Any, geometry: Any, layout: Any, dtype: torch.dtype
) -> None:
    x, w = (operand.to(dtype) for operand in operands(image, filters, geometry, layout))
    exact = reference.adder_forward(x.double(), w.double(), geometry)
    # Terms are at most |x| + |w|, and there are as many additions as terms in each of the three sums.
    bound = (2 * w[0].numel() + 8) * UNIT * 3 * magnitudes(x, w, geometry)
    if dtype != torch.float32:
        # One more rounding, of the output.
        bound += torch.finfo(dtype).eps / 2 * (exact.abs() + bound)
    found = without_fallback(x, w, geometry)
    assert not found.isnan().any()
    assert ((found.double() - exact).abs() <= bound).all()


@pytest.mark.parametrize("site", FORMS)
@pytest.mark.parametrize("layout", cases(nchw=torch.contiguous_format, nhwc=torch.channels_last))
@pytest.mark.parametrize("store", cases(all=PLAIN, relu=Store(*RELU)))
def test_what_follows_the_sums_is_the_same(site: str, layout: Any, store: Store) -> None:
    image, filters, geometry = SMALL
    x, w = operands(image, filters, geometry, layout)
    scale, bias = torch.rand(24) + 0.5, 160 + 40 * torch.randn(24)
    more: dict[str, Any] = {}
    if site != "adder":
        more = {"factors": signs.pack_factors(scale, bias, 1), "store": store}
    by_differences, by_maxima = schedules(x, w, geometry)
    if site == "adder_shortcut":
        more["shortcut"] = torch.randn(2, 24, 6, 7)
    found = dense.convolve(site, x, w, geometry, by_maxima, **more)
    expected = dense.convolve(site, x, w, geometry, by_differences, **more)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3)
    assert not torch.equal(found, expected), "the other form was not taken"


def test_threads_change_nothing() -> None:
    image, filters, geometry = SMALL
    x, w = operands(image, filters, geometry, torch.contiguous_format)
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(both(x, w, geometry)[1])
    torch.set_num_threads(before)
    assert torch.equal(*found)


@pytest.mark.parametrize("default", cases(fp16=torch.float16, fp64=torch.float64))
def test_torchs_default_type_changes_nothing(default: torch.dtype) -> None:
    image, filters, geometry = SMALL
    x, w = operands(image, filters, geometry, torch.contiguous_format)
    expected = both(x, w, geometry)[1]
    torch.set_default_dtype(default)
    try:
        assert torch.equal(both(x, w, geometry)[1], expected)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("shift", cases(at_ten=10.0, at_a_thousand=1e3, at_a_million=1e6))
def test_operands_that_are_nearly_equal_are_computed_by_differences(shift: float) -> None:
    x, w = torch.randn(1, 32, 5, 6) + shift, torch.randn(24, 32, 1, 1) + shift
    by_differences, by_maxima = both(x, w)
    condition = magnitudes(x, w, Geometry()) / -by_differences
    # Σ|x| + Σ|w| is about 2·shift a channel, and |x - w| 2/√π.
    assert (condition.max() > WORST_CONDITION) == torch.equal(by_maxima, by_differences)
    assert condition.max() > WORST_CONDITION or shift == 10.0


def test_one_output_beyond_the_condition_is_enough() -> None:
    x, w = torch.randn(1, 32, 5, 6), torch.randn(24, 32, 1, 1)
    first, second = both(x, w)
    assert not torch.equal(first, second)
    w[3, :, 0, 0] = x[0, :, 4, 2]
    first, second = both(x, w)
    assert torch.equal(first, second) and first[0, 3, 4, 2] == 0


@pytest.mark.parametrize("special", cases(nan=math.nan, inf=math.inf, minus=-math.inf, huge=3e38))
@pytest.mark.parametrize("where", ["input", "weight", "both"])
def test_what_is_not_finite_is_as_by_differences(special: float, where: str) -> None:
    x, w = torch.randn(1, 32, 5, 6), torch.randn(24, 32, 1, 1)
    if where != "weight":
        x[0, 7, 2, 3] = special
    if where != "input":
        w[5, 7] = special
    first, second = both(x, w)
    torch.testing.assert_close(second, first, rtol=1e-5, atol=0, equal_nan=True)


def test_zeros_are_exact() -> None:
    first, second = both(torch.zeros(1, 32, 5, 6), torch.zeros(24, 32, 1, 1))
    assert not first.any() and not second.any()


def test_an_image_without_neighbours_is_computed_by_differences() -> None:
    x, w = torch.randn(1, 64, 10, 12)[:, ::2, ::2, ::2], torch.randn(24, 32, 1, 1)
    first, second = both(x, w)
    assert torch.equal(first, second)


def test_an_image_with_a_border_has_no_such_form() -> None:
    x, w = torch.randn(1, 32, 5, 6), torch.randn(24, 32, 3, 3)
    request = dense.request_of("adder", x, w, Geometry())
    assert may_use_maxima(request)
    assert not may_use_maxima(replace(request, bordered=True))
    assert not may_use_maxima(replace(request, site="mac"))


WIDE = Core(64, 32, 2, 0.68, prefers_maxima=True)
LARGE = KernelRequest("adder", Extents(1, 64, 64, 56, 56, 3, 3, 1, 1, 1, 58), True, True, False)


@pytest.mark.parametrize(
    "fewer",
    cases(
        nothing={}, channels={"channels": 24}, filters={"filters": 16}, outputs={"rows": 2, "columns": 9},
        sites={"rows": 6, "columns": 6, "channels": 32},
    ),
)  # fmt: skip
def test_the_rule_takes_maxima_for_large_layers(fewer: dict[str, int]) -> None:
    request = replace(LARGE, extents=replace(LARGE.extents, **fewer))
    assert default_schedule(request, WIDE).by_maxima == (not fewer)
    assert not default_schedule(request, replace(WIDE, prefers_maxima=False)).by_maxima
    assert not default_schedule(replace(request, site="mac"), WIDE).by_maxima


def test_a_large_layer_is_launched_as_the_rule_says() -> None:
    x, w = torch.empty(1, 64, 28, 28, device="meta"), torch.empty(64, 64, 3, 3, device="meta")
    plan = dense._planned("adder", x, w, Geometry(padding=(1, 1)), None)
    assert isinstance(plan.launch, LaunchByMaxima) == host_core().prefers_maxima


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_sums_under_windows_are_those_of_a_convolution_with_ones(data: st.DataObject) -> None:
    """Small whole numbers, so the sums are exact in any order."""
    n, groups, of_group = (data.draw(st.integers(1, most)) for most in (3, 3, 37))
    h, w = data.draw(st.integers(1, 12)), data.draw(st.sampled_from((1, 2, 7, 16, 33, 70)))
    r, s = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    padding = data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    geometry = Geometry(data.draw(pair), padding, data.draw(pair), groups)
    p, q = geometry.output_size((h, w), (r, s))
    if min(p, q) < 1:
        return
    channels = groups * of_group
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    dtype = data.draw(st.sampled_from((torch.float32, torch.float16, torch.bfloat16)))
    image = torch.randint(-9, 10, (n, channels, h, w), generator=generator).to(dtype)
    layout = data.draw(st.sampled_from((torch.contiguous_format, torch.channels_last)))
    image = image.contiguous(memory_format=layout)
    threads = data.draw(st.sampled_from((1, 2)))
    plan = plan_window_sums(image.shape, image.stride(), (r, s), geometry, threads, dtype)
    assert plan is not None
    found = torch.full((2, groups, n, p, q), math.nan)
    plan.write(image.data_ptr(), found.data_ptr())
    ones = torch.ones(groups, of_group, r, s)
    how = (None, *(getattr(geometry, name) for name in ("stride", "padding", "dilation", "groups")))
    for values, sums in zip((image, image.abs()), found, strict=True):
        assert torch.equal(sums.transpose(0, 1), F.conv2d(values.float().contiguous(), ones, *how))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("elements", [1, 15, 64, 65, 130, 3 << 20])
@pytest.mark.parametrize("dtype", cases(**FORMATS))
def test_a_nan_is_found_at_any_place(elements: int, threads: int, dtype: torch.dtype) -> None:
    memory = torch.zeros(elements + 2, dtype=dtype)
    memory[0] = memory[-1] = math.nan
    within = memory[1:-1]
    within[0], within[-1] = math.inf, -math.inf
    calls = search_of(elements, threads, dtype)
    assert run_shares(calls, within.data_ptr(), within.data_ptr()) == 0
    for place in {0, elements // 2, elements - 1}:
        kept = within[place].item()
        within[place] = -math.nan
        assert run_shares(calls, within.data_ptr(), within.data_ptr()) == 1
        within[place] = kept
