"""How a kernel's work is cut into tasks."""

from __future__ import annotations

import itertools

import pytest

pytest.importorskip("halide", reason="the CPU kernels need halide")

from addercost.kernels.cpu.dense import partition as partitions
from addercost.kernels.cpu.dense.extents import Extents
from addercost.kernels.cpu.dense.kernel_class import KernelClass
from addercost.kernels.cpu.dense.partition import enough_tasks, partition

LANES = 16
CLASS = KernelClass("adder", LANES, 1, 7, True, True, False, False)


def tiles_of_tasks(filters: int, channels: int, threads: int) -> list[int]:
    """Tiles of filters in each task of one image of 14 × 14 pixels, which is one strip."""
    extents = Extents(1, channels, filters, 14, 14, 3, 3, 1, 1, 1, 16)
    cut = partition(CLASS, extents, threads)
    assert cut.task_strips >= 14 >= cut.strip_rows
    tiles, size = -(-filters // LANES), cut.task_blocks * cut.block_tiles
    return [min(size, tiles - first) for first in range(0, tiles, size)]


@pytest.mark.parametrize("threads", [2, 3, 4, 8])
def test_one_strip_is_shared_out_by_filters(threads: int) -> None:
    for filters, channels in itertools.product((128, 256, 512, 1000), (16, 64, 256)):
        tasks = tiles_of_tasks(filters, channels, threads)
        assert sum(tasks) == -(-filters // LANES)
        assert len(tasks) <= threads
        # Whole blocks: the longest task is at most a block longer than an equal share.
        assert max(tasks) < 2 * sum(tasks) / threads, (filters, channels, tasks)


def test_two_threads_have_equal_shares_of_three_blocks() -> None:
    # 256 filters of 256 channels are 16 tiles. Seven of them are as many as a block may have, so there would
    # be three blocks, and one thread would compute two.
    assert tiles_of_tasks(256, 256, 2) == [8, 8]


@pytest.mark.parametrize(
    ("channels", "filters", "pixels", "in_place", "channels_last_output", "expected"),
    [
        pytest.param(8, 912, 3969, True, False, 2, id="planes of 14 MB"),
        pytest.param(1024, 256, 196, True, False, 2, id="weights of 1 MiB"),
        pytest.param(96, 576, 196, True, False, 36, id="672 KB stay in a cache"),
        pytest.param(8, 912, 3969, True, True, 57, id="pixels with neighbouring filters"),
        pytest.param(8, 912, 3969, False, False, 57, id="each block would copy the input"),
    ],
)
def test_few_planes_are_written_at_a_time(
    channels: int, filters: int, pixels: int, in_place: bool, channels_last_output: bool, expected: int
) -> None:
    """Tiles of 16 filters in a block: two have 32 filters; all others, as many as have a MiB of weights."""
    kernel = KernelClass("adder", LANES, 1, 7, False, channels_last_output, in_place, False)
    extents = Extents(1, channels, filters, 1, pixels, 1, 1, 1, 1, 1, pixels)
    assert partition(kernel, extents, 1).block_tiles == expected


@pytest.mark.parametrize(
    ("images", "filters", "threads", "expected"),
    [
        pytest.param(2, 8, 2, True, id="an image for each"),
        pytest.param(1, 128, 2, True, id="a widest tile for each"),
        pytest.param(1, 127, 2, False, id="one widest tile for both"),
        pytest.param(1, 64, 1, True, id="one thread"),
    ],
)
def test_rows_are_joined_where_each_thread_still_has_a_task(
    images: int, filters: int, threads: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The widest tile has four vectors of filters, 64 with vectors of 64 bytes."""
    monkeypatch.setattr(partitions, "vector_bytes", lambda: 64)
    assert enough_tasks(images, filters, threads) == expected
