"""Counts rewritten to int8."""

from counted_layers import Layer, adder_layer, mac_layer

from addercost.arithmetic import OpCounts
from addercost.cost.formats import as_int8


def test_layers_with_sites_move_to_int8_and_a_quarter_of_the_bytes():
    layer = mac_layer(10)
    layer.bytes_read, layer.bytes_written = 300, 100
    (quantised,) = as_int8([layer])
    assert quantised.counts == OpCounts.of("int8", mul=10, add=10)
    assert (quantised.arithmetic, quantised.mac_sites, quantised.bytes) == ("mac", 10, 100)


def test_an_absolute_value_moves_too():
    (quantised,) = as_int8([adder_layer(10, with_abs=True)])
    assert quantised.counts == OpCounts.of("int8", add=20, abs=10)


def test_layers_without_sites_and_other_operations_stay():
    counts = OpCounts.of(mul=5, divide=3)
    (norm,) = as_int8([Layer(counts, bytes_read=8)])
    assert (norm.counts, norm.mac_sites, norm.bytes) == (counts, 0, 8)
    (mixed,) = as_int8([Layer(counts, mac_sites=5)])
    assert mixed.counts == OpCounts.of("int8", mul=5) + OpCounts.of(divide=3)
