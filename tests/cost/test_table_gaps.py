"""What missing figures cost: each that is taken away from a table gives a sentence that it did not have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from addercost.cost.table_gaps import gaps
from addercost.hardware import load_accelerator, load_cpu, load_device, load_energy, load_gpu

NM45 = load_energy("45nm")


def without_memory_field(name: str) -> Any:
    table = load_accelerator("eyeriss-like")
    return replace(table, memories=tuple(replace(memory, **{name: None}) for memory in table.memories))


@pytest.mark.parametrize(
    ("complete", "lacking", "sentence"),
    [
        pytest.param(
            load_device("raspberry-pi-5"),
            replace(load_device("raspberry-pi-5"), sustained_clock_hz=None, boost_clock_hz=None),
            "need --clock",
            id="clock-of-a-device",
        ),
        pytest.param(
            load_gpu("rtx-3090"),
            replace(load_gpu("rtx-3090"), memory_bandwidth_bytes_per_s=None),
            "need --bandwidth",
            id="bandwidth-of-a-gpu",
        ),
        pytest.param(
            load_gpu("rtx-3090"),
            replace(load_gpu("rtx-3090"), peaks=()),
            "no peak of int8 matrix",
            id="peaks-of-a-gpu",
        ),
        pytest.param(
            load_gpu("rtx-3090"), replace(load_gpu("rtx-3090"), rates=()), "no rates", id="rates-of-a-gpu"
        ),
        pytest.param(
            load_gpu("rtx-3090"),
            replace(load_gpu("rtx-3090"), streaming_multiprocessors=None),
            "no waves",
            id="multiprocessors",
        ),
        pytest.param(
            load_gpu("rtx-3090"),
            replace(load_gpu("rtx-3090"), l2_bandwidth_bytes_per_s=None),
            "no bandwidth of L2",
            id="l2-of-a-gpu",
        ),
        pytest.param(
            load_gpu("rtx-3090"),
            replace(load_gpu("rtx-3090"), sequences=()),
            "no instructions of fp32 a / b",
            id="divisions-of-a-gpu",
        ),
        pytest.param(NM45, load_energy("7nm"), "--equal-area is refused", id="areas"),
        pytest.param(NM45, replace(NM45, memories=()), "no energies of memories", id="memories"),
        pytest.param(
            load_accelerator("eyeriss-like"),
            without_memory_field("bytes_per_cycle"),
            "never waits",
            id="bytes-a-cycle",
        ),
        pytest.param(
            load_accelerator("eyeriss-like"), without_memory_field("size_bytes"), "no size of", id="sizes"
        ),
    ],
)
def test_a_figure_that_is_taken_away_gives_a_sentence(complete: Any, lacking: Any, sentence: str) -> None:
    before = list(gaps(complete, NM45))
    # The areas of fp16 are missing in the complete table as well; those of int8 are not.
    gained = [text for text in gaps(lacking, NM45) if text not in before]
    assert any(sentence in text for text in gained)


def test_a_device_says_what_its_core_lacks() -> None:
    """But neither the core's clock nor its bandwidth, which are the device's."""
    device, core = load_device("raspberry-pi-5"), load_cpu("cortex-a76")
    assert list(gaps(device, core)) == []
    bare = replace(core, instructions=tuple(row for row in core.instructions if row.op != "fp32_div"))
    found = list(gaps(device, bare))
    assert found and all(text.startswith("its core cortex-a76: ") for text in found)
    assert any("no latency of fp32 divide" in text for text in found)


def test_an_accelerator_says_which_elements_lack_a_figure() -> None:
    tpu = load_accelerator("tpu-like")
    found = list(gaps(tpu, load_energy("7nm")))
    assert any("the area of mul (int8): no --equal-area with mac elements" in text for text in found)
    assert "no buffer of filters: they pass from or to DRAM as often as the array needs them" in found
