"""Adder, binary, shift and ternary layers as torch modules. Each is a single operator in
`torch.ops.addercost`.
"""

from addercost.layers.adder import AdderConv2d, AdderLinear
from addercost.layers.adder_state import load_adder_state
from addercost.layers.binary import BinaryConv2d, BinaryLinear
from addercost.layers.bitlinear import BitLinear
from addercost.layers.convert import convert
from addercost.layers.factory import conv2d, linear
from addercost.layers.fuse import fuse, quantize_network
from addercost.layers.fused_adder import CodedAdder, FusedAdder
from addercost.layers.packed import PackedBinary, pack_binary
from addercost.layers.packed_bitlinear import PackedBitLinear, pack_bitlinear
from addercost.layers.quantize import QuantizedAdder, quantize_adder
from addercost.layers.shift import ShiftConv2d, ShiftLinear
from addercost.layers.static_quantization import statically_quantized

__all__ = [
    "AdderConv2d",
    "AdderLinear",
    "BinaryConv2d",
    "BinaryLinear",
    "BitLinear",
    "CodedAdder",
    "FusedAdder",
    "PackedBinary",
    "PackedBitLinear",
    "QuantizedAdder",
    "ShiftConv2d",
    "ShiftLinear",
    "conv2d",
    "convert",
    "fuse",
    "linear",
    "load_adder_state",
    "pack_binary",
    "pack_bitlinear",
    "quantize_adder",
    "quantize_network",
    "statically_quantized",
]
