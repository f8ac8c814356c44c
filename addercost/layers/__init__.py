"""Adder, binary and shift layers as torch modules, each one custom operator in `torch.ops.addercost`."""

from addercost.layers.adder import AdderConv2d, AdderLinear
from addercost.layers.adder_state import load_adder_state
from addercost.layers.binary import BinaryConv2d, BinaryLinear
from addercost.layers.convert import convert
from addercost.layers.factory import conv2d, linear
from addercost.layers.packed import PackedBinary, pack_binary
from addercost.layers.quantize import QuantizedAdder, quantize_adder
from addercost.layers.shift import ShiftConv2d, ShiftLinear

__all__ = [
    "AdderConv2d",
    "AdderLinear",
    "BinaryConv2d",
    "BinaryLinear",
    "PackedBinary",
    "QuantizedAdder",
    "ShiftConv2d",
    "ShiftLinear",
    "conv2d",
    "convert",
    "linear",
    "load_adder_state",
    "pack_binary",
    "quantize_adder",
]
