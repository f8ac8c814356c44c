"""What stands in for a device that was not measured: near what was measured, and never beyond its peak."""

from __future__ import annotations

import math

import pytest

from addercost.cost.device_classes import CLASS_DEFAULTS, class_default
from addercost.hardware.vocabulary import Quality

MEASURED = {
    # Of two parts each: the shares of throughput and of bandwidth, and the seconds of a call.
    "desktop": [(0.38, 0.68, 23e-6), (0.63, 0.70, 29e-6)],  # i7-12700H, i9-10940X
    "gpu": [(0.8, 1.1, None), (1.35, 0.77, None)],  # RTX 4090, RTX 3090
}


@pytest.mark.parametrize("device_class", MEASURED)
def test_a_default_is_between_what_two_parts_reached(device_class: str) -> None:
    default = class_default(device_class)
    for found, reached in zip(
        (default.arithmetic_share, default.bandwidth_share, default.call_s),
        zip(*MEASURED[device_class], strict=True),
        strict=True,
    ):
        if None not in reached:
            assert min(reached) <= found <= max(reached)


def test_a_server_is_a_desktop_with_longer_calls_and_a_wider_spread() -> None:
    """Nine of ten networks on an AMD EPYC were within a factor of 1.65."""
    desktop, server = class_default("desktop"), class_default("server")
    shares = (desktop.arithmetic_share, desktop.bandwidth_share)
    assert (server.arithmetic_share, server.bandwidth_share) == shares
    assert desktop.call_s < server.call_s <= 2 * desktop.call_s
    assert server.spread == pytest.approx(1.65, abs=0.06)
    assert desktop.spread == class_default("gpu").spread == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize("device_class", ["board", "phone", "microcontroller"])
def test_what_was_not_measured_says_so_and_is_twice_as_uncertain(device_class: str) -> None:
    assumed, server = class_default(device_class), class_default("server")
    assert assumed.quality is Quality.MODEL and "an assumption for" in assumed.source
    assert math.log(assumed.spread or 0) == pytest.approx(2 * math.log(server.spread or 0), rel=0.05)
    # Smaller machines reach less of their peak than a desktop, and their calls start fewer threads.
    assert 0 < assumed.arithmetic_share < class_default("desktop").arithmetic_share
    assert 0 < assumed.bandwidth_share < 1
    assert 0 < assumed.call_s < class_default("desktop").call_s


def test_what_was_measured_says_so() -> None:
    published = {name for name, one in CLASS_DEFAULTS.items() if one.quality is Quality.PUBLISHED}
    assert published == {"desktop", "server", "gpu"}
    assert all(one.run == "any" for one in CLASS_DEFAULTS.values())


def test_one_gpu_starts_its_kernels_in_less_time_than_many_cores() -> None:
    assert 1e-6 < class_default("gpu").call_s < class_default("desktop").call_s
