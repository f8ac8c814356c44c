"""Every schedule that a search may choose computes the layer."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

pytest.importorskip("halide", reason="the CPU kernels need halide")

from addercost.kernels.cpu.dense.candidates import allows, candidates
from addercost.kernels.cpu.dense.extents import Extents
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.cpu.dense.rule import default_schedule, load_factor
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.sites import SITES
from addercost.kernels.cpu.processor import Core
from tests.kernels.geometries import exhaustive
from tests.kernels.random_layers import candidate_differences, drawn

SSE, AVX2, NEON = Core(16, 16, 2, 0), Core(32, 16, 2, 0), Core(16, 32, 2, 0)
ZEN_4, FULL_WIDTH = Core(64, 32, 2, 0), Core(64, 32, 2, 0.68)
CORES = {"sse": SSE, "avx2": AVX2, "neon": NEON, "zen-4": ZEN_4, "full-width-512": FULL_WIDTH}


@pytest.mark.parametrize("seed", exhaustive(2, 4, 5))
def test_a_drawn_candidate_of_each_kernel_computes_a_random_layer(seed: int) -> None:
    assert list(candidate_differences(drawn(seed), 1)) == []


def requests(seed: int, count: int) -> Iterator[KernelRequest]:
    """Requests as the kernels' callers make them, of every site."""
    rng = random.Random(seed)
    for _ in range(count):
        site = rng.choice(list(SITES))
        arithmetic = SITES[site]
        bordered = arithmetic.packed > 1 or arithmetic.of_words
        r, s = rng.choice((1, 1, 3, 5)), rng.choice((1, 1, 3, 7))
        direct = bordered or (r == s == 1 and rng.random() < 0.8)
        stride = 1 if direct and not bordered else rng.choice((1, 1, 2))
        columns = rng.choice((rng.randint(1, 60), 784, 3136))
        extents = Extents(
            images=rng.choice((1, 2, 8)),
            channels=rng.choice((1, 2, 3, 8, 16, 17, 64, 300)),
            filters=rng.choice((1, 2, 5, 8, 10, 16, 17, 32, 33, 70, 128, 512)),
            rows=rng.randint(1, 60),
            columns=columns,
            filter_y=r,
            filter_x=s,
            stride_y=stride,
            stride_x=stride,
            dilation_y=1,
            scratch_columns=0 if bordered else stride * (columns - 1) + s,
        )
        layout = bordered or rng.random() < 0.5, rng.random() < 0.5
        pointwise = r == s == stride == 1
        planes = not layout[1] and (pointwise if bordered else direct and not layout[0])
        plain = not bordered and not arithmetic.stationary
        yield KernelRequest(
            site,
            extents,
            *layout,
            direct,
            bordered=bordered,
            joinable=plain and rng.random() < 0.5,
            planes=planes,
            threads=rng.choice((1, 2, 3)),
        )


@pytest.mark.parametrize("name", CORES)
def test_the_rule_takes_one_of_the_candidates(name: str) -> None:
    core = CORES[name]
    for request in requests(7, 150):
        assert allows(request, core, default_schedule(request, core)), request


@pytest.mark.parametrize("name", CORES)
def test_candidates_are_different_and_fit_the_registers(name: str) -> None:
    core = CORES[name]
    for request in requests(8, 20):
        found = list(candidates(request, core))
        assert len(found) == len(set(found)) > 0
        stationary = len(request.arithmetic.stationary)
        for schedule in found:
            assert schedule.vectors * schedule.pixels * (1 + stationary) <= core.registers


def layer(filters: int, columns: int, site: str = "mac") -> KernelRequest:
    extents = Extents(1, 64, filters, columns, columns, 3, 3, 1, 1, 1, columns + 2)
    return KernelRequest(site, extents, True, True, False, joinable=True)


def test_where_loads_cost_time_a_tile_has_fewer_of_them() -> None:
    # A step of v vectors and p pixels loads v weights and p inputs for its v·p sites.
    for site, columns in itertools.product(("mac", "adder"), (56, 28, 14)):
        request = layer(64, columns, site)
        one, many = (default_schedule(request, core) for core in (ZEN_4, FULL_WIDTH))
        assert one.vectors == 1 < many.vectors
        assert 1 / many.vectors + 1 / many.pixels < 1 / one.vectors + 1 / one.pixels


@pytest.mark.parametrize(("filters", "columns"), [(64, 56), (128, 28), (256, 14), (512, 7)])
def test_a_tile_of_16_registers_keeps_all_that_its_step_needs(filters: int, columns: int) -> None:
    """Sums, weights and an input; an adder has a difference, the sign mask and the factor -1 besides, where
    the input's register becomes the difference's."""
    for site, others in (("mac", 1), ("adder", 3)):
        tile = default_schedule(layer(filters, columns, site), AVX2)
        assert tile.vectors * tile.pixels + tile.vectors + others <= 16


def test_weights_from_the_second_level_cache_are_read_for_many_pixels() -> None:
    assert default_schedule(layer(128, 28), AVX2) == Schedule(8, 2, 6, joined=True)


def test_planes_are_computed_along_their_pixels() -> None:
    extents = Extents(1, 64, 256, 1, 3136, 1, 1, 1, 1, 1, 3136)
    request = KernelRequest("mac", extents, False, False, True, planes=True)
    for core in (SSE, AVX2, ZEN_4):
        assert default_schedule(request, core).across
    # Whole vectors only: behind the last pixel there is no memory to read.
    short = replace(request, extents=replace(extents, columns=49, scratch_columns=49))
    assert not default_schedule(short, AVX2).across


def test_a_load_costs_most_where_a_site_has_one_operation() -> None:
    # 1/2 + 1/4 loads a site: 0.68 cycles each beside half a cycle, or beside one and a half.
    assert load_factor("mac", FULL_WIDTH, 2, 4) == pytest.approx(1 + 0.75 * 0.68 / 0.5)
    assert load_factor("adder", FULL_WIDTH, 2, 4) == pytest.approx(1 + 0.75 * 0.68 / 1.5)
    assert load_factor("adder", ZEN_4, 2, 4) == 1


def test_a_schedule_says_what_it_is() -> None:
    assert str(Schedule(16, 2, 14)) == "2 × 16 filters × 14"
    assert str(Schedule(16, 1, 8, across=True, kept_scratch=True)) == "1 × 16 pixels × 8 kept scratch"
    assert str(Schedule(16, 4, 6, by_maxima=True)) == "4 × 16 filters × 6 by maxima"


@pytest.mark.exhaustive
@pytest.mark.parametrize("by_maxima", [False, True])
def test_every_schedule_gives_the_same_bits(by_maxima: bool) -> None:
    from addercost.kernels.cpu.dense import convolution as dense
    from addercost.kernels.cpu.processor import host_core
    from addercost.kernels.problem import Geometry

    x, w, geometry = torch.randn(1, 4, 7, 18), torch.randn(19, 4, 3, 3), Geometry(padding=(1, 1))
    found = list(candidates(dense.request_of("adder", x, w, geometry), host_core()))
    found = [schedule for schedule in found if schedule.by_maxima == by_maxima]
    first, *others = random.Random(3).sample(found, 4)
    expected = dense.convolve("adder", x, w, geometry, first)
    for schedule in others:
        # The taps are added in the same order by all of them.
        assert torch.equal(dense.convolve("adder", x, w, geometry, schedule), expected), schedule


TILES_IN_NCHW = """
import torch
from addercost.kernels.cpu.dense import convolution as dense
from addercost.kernels.cpu.dense.candidates import candidates
from addercost.kernels.cpu.processor import host_core
from addercost.kernels.problem import Geometry

x, w, geometry, core = torch.randn(1, 1, 8, 8), torch.randn(4, 1, 3, 3), Geometry(stride=(2, 2)), host_core()
found = candidates(dense.request_of("adder", x, w, geometry), core)
half = core.registers // 2
tiles = [s for s in found if s.vectors == 1 and s.lanes == 8 and not (s.across or s.kept_scratch)]
near = [s for s in tiles if half <= s.pixels <= half + 2]
assert len({s.pixels for s in near}) == 2
for schedule in near:
    dense.convolve("adder", x, w, geometry, schedule)
print(len(near))
"""


@pytest.mark.exhaustive
def test_no_tile_of_an_output_in_nchw_ends_the_process() -> None:
    """Halide does so for one pixel more than half of the registers: 9 with 16 registers, 17 with 32."""
    found = subprocess.run([sys.executable, "-c", TILES_IN_NCHW], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-500:]
    assert int(found.stdout) >= 2
