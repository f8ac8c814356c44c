"""Pruned channels: what shrinks between the layers, and what stays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from addercost.counts.model import count
from addercost.counts.what_if import apply
from addercost.errors import ArgumentError
from addercost.trace.record import Trace
from addercost.trace.tracer import trace
from tests.counts.changed_network import image, small_trace
from tests.counts.oracle import Function


@pytest.fixture(scope="module")
def small() -> Trace:
    return small_trace()


def test_pruning_shrinks_what_is_between_the_layers(small: Trace) -> None:
    """Batch norm and ReLU run over half the channels."""
    before, after = count(small), count(small, what_if=["prune=0.5"])
    relu = next(i for i, layer in enumerate(before.layers) if layer.type == "ReLU")
    assert after.layers[relu].counts * 2 == before.layers[relu].counts
    assert after.parameters == (4 * 27 + 4) + 2 * 4 + 8 * 36 + (128 * 10 + 10)


def test_pruning_refuses_attention() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.empty(1, 3, 8, device="meta")
    with pytest.raises(ArgumentError, match="does not know the channels"):
        count(trace(attention, x, x, x), what_if=["prune=0.5"])


def test_depthwise_networks_prune_their_groups() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 16, 1), nn.Conv2d(16, 4, 1)
    )
    made = trace(model, image(3, 6))
    assert [call.args["groups"] for call in apply(made, "prune=0.5").calls] == [1, 4, 1, 1]
    changed = count(made, "macs", what_if=["prune=0.5"])
    assert [layer.mac_sites for layer in changed.layers] == [
        36 * 4 * 3,
        16 * 4 * 9,
        16 * 8 * 4,
        16 * 4 * 8,
    ]


def test_a_channel_is_left_of_each_layer() -> None:
    """A hundredth of eight channels rounds to none."""
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 1))
    changed = count(trace(model, image(3)), "macs", what_if=["prune=0.01"])
    assert [layer.mac_sites for layer in changed.layers] == [16 * 3, 16, 16 * 4]


def test_pruning_changes_nothing_before_the_first_layer_and_after_the_last() -> None:
    model = nn.Sequential(
        nn.BatchNorm2d(6), nn.Conv2d(6, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 10, 1), nn.BatchNorm2d(10)
    )
    made = trace(model.eval(), image(6))
    before, after = count(made), count(made, what_if=["prune=0.5"])
    for place in (0, 4):
        assert after.layers[place].counts == before.layers[place].counts
        assert after.layers[place].output_shape == before.layers[place].output_shape
    # Scale and shift of 6, 4 and 10 channels; the layers have 6·4 + 4 and 4·10 + 10.
    assert after.parameters == 2 * (6 + 4 + 10) + 28 + 50


def test_pruning_leaves_the_number_of_groups_of_channels_alone() -> None:
    """Two groups of four channels each become two of two."""
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=2, padding=1), nn.Conv2d(8, 3, 1))
    made = trace(model, image(3))
    changed = apply(made, "prune=0.5")
    assert changed.calls[1].args["groups"] == 2
    assert changed.calls[1].shape("weight") == (4, 2, 3, 3)
    assert changed.calls[1].shape("bias") == (4,)
    assert [call.output.shape[1] for call in changed.calls] == [4, 4, 3]
    assert [call.shape("input")[1] for call in changed.calls] == [3, 4, 4]


def test_a_network_without_layers_has_nothing_to_prune() -> None:
    made = trace(nn.ReLU(), image(3))
    assert count(made, what_if=["prune=0.5"]).total == count(made).total


def test_the_module_whose_channels_are_not_known_is_named() -> None:
    attention = nn.Sequential(nn.Linear(8, 8), Function(lambda x: x @ x.mT))
    with pytest.raises(ArgumentError, match=r"the channels of aten\.\w+ in 1"):
        apply(trace(attention, torch.empty(2, 3, 8, device="meta")), "prune=0.5")
    with pytest.raises(ArgumentError, match=r"the channels of aten\.\w+ in Function"):
        apply(trace(Function(lambda x: x @ x.mT), torch.empty(2, 3, 8, device="meta")), "prune=0.5")
