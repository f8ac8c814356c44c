"""Checks for arm64, in an emulator, the loops of LLVM IR that read whole images: those that pack signs, copy
bytes, round to codes, and compute depthwise layers.

    make arm-check     # runs this after arm_check.py

Plans are made as on a machine with vectors of 128 bits and without masks of bytes. Their loops are compiled
for arm64 and run on small images, and the results are compared with torch. An emulator shows no speed. The
result is written to benchmarks/results/arm64/images.txt. The exit status is 1 where a result is wrong.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.kernels import reference
from addercost.kernels.codes import quantize
from addercost.kernels.cpu.binary import loops as sign_loops
from addercost.kernels.cpu.binary import packing
from addercost.kernels.cpu.depthwise import convolution as depthwise
from addercost.kernels.cpu.depthwise import tile, weights
from addercost.kernels.cpu.depthwise.tile import DepthwiseNumbers
from addercost.kernels.cpu.shares import NativeCall
from addercost.kernels.cpu.u8 import convolution as u8
from addercost.kernels.cpu.u8 import loops as byte_loops
from addercost.kernels.problem import Geometry
from addercost.kernels.signs import pack_image
from addercost.results.files import write_file
from tools.arm_calls import ArmCall, run_calls

RESULT = Path(__file__).parents[1] / "benchmarks" / "results" / "arm64" / "images.txt"
VECTOR_BYTES = 16
LAST = torch.channels_last


class Loop(NamedTuple):
    """A function of LLVM IR in place of one that is compiled for this machine."""

    name: str
    ir: str


def _as_loop(code: Any, optimised: bool = True) -> Loop:
    return Loop(code.function.name, str(code.function.module))


def on_arm() -> ExitStack:
    """While this is open, plans hold loops as IR, for a machine like Arm's with NEON."""
    stack = ExitStack()
    for module in (sign_loops, byte_loops, tile, weights):
        stack.enter_context(patch.object(module, "compiled", _as_loop))
    for module in (packing, u8):
        stack.enter_context(patch.object(module, "masks_bytes", lambda: False))
    stack.enter_context(patch.object(depthwise, "vector_bytes", lambda: VECTOR_BYTES))
    return stack


def _bytes(tensor: Tensor) -> bytes:
    """The memory of a dense tensor."""
    return tensor.as_strided((tensor.numel(),), (1,)).numpy().tobytes()


def run_copies(calls: tuple[NativeCall, ...], source: bytes, target: bytearray) -> str:
    """Runs copies of a whole image, each on its share. Returns the names of the loops."""
    for call in calls:
        written = bytearray(target[call.target_byte :])
        run_calls(
            [call.function.ir],
            [ArmCall(call.function.name, (source[call.source_byte :], written, bytes(call.numbers)))],
        )
        target[call.target_byte :] = written
    return f"{len(calls)} shares" if len(calls) > 1 else "one share"


IMAGES = {
    "runs of words": lambda: torch.randn(2, 64, 3, 5).contiguous(memory_format=LAST),
    "channels of a pixel": lambda: torch.randn(2, 40, 3, 5).contiguous(memory_format=LAST),
    "few channels of a pixel": lambda: torch.randn(2, 10, 3, 5).contiguous(memory_format=LAST),
    "long rows": lambda: torch.randn(1, 40, 3, 37),
    "short rows": lambda: torch.randn(2, 33, 3, 5),
    "every second pixel": lambda: torch.randn(1, 33, 3, 22)[..., ::2],
    "words": lambda: pack_image(torch.randn(2, 70, 3, 5).contiguous(memory_format=LAST)),
}


def check_packing() -> Iterator[tuple[str, bool]]:
    """A line for each way to pack signs, with a border of one pixel."""
    for name, make in IMAGES.items():
        image = make()
        of_words = image.dtype == torch.int32
        plan = packing.plan_packing(
            tuple(image.shape), image.stride(), 1, (1, 1), threads=2, of_words=of_words
        )
        memory = bytearray(4 * plan.elements)
        # A view with gaps keeps its strides, so all of its memory is passed.
        whole = image if image._base is None or image.is_contiguous() else image._base
        run_copies(plan.calls, _bytes(whole), memory)
        found = torch.frombuffer(memory, dtype=torch.int32).as_strided(plan.size, plan.stride)
        expected = F.pad(image if of_words else pack_image(image), (1, 1, 1, 1))
        yield f"signs, {name}", torch.equal(found, expected)


BYTE_IMAGES = {
    "channels-last": (24, LAST),
    "channels-last, part of a word": (21, LAST),
    "rows of 16 channels": (16, torch.contiguous_format),
    "rows, part of a word": (21, torch.contiguous_format),
}


def check_bytes() -> Iterator[tuple[str, bool]]:
    """A line for each way to copy bytes to channels-last words with a border, and one for rounding."""
    for name, (channels, layout) in BYTE_IMAGES.items():
        x = torch.randint(0, 256, (2, channels, 5, 19), dtype=torch.uint8).contiguous(memory_format=layout)
        pixel = u8._whole(channels)
        copy = u8._Image(tuple(x.shape), x.stride(), 1).copied(pixel, (1, 1), 0, threads=2)
        memory = bytearray(copy.bytes)
        run_copies(copy.calls, _bytes(x), memory)
        found = torch.frombuffer(memory, dtype=torch.uint8).view(2, 7, 21, pixel)
        expected = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1)
        yield f"bytes, {name}", torch.equal(found, F.pad(expected, (0, pixel - channels)))
    yield "bytes under rows of a filter", _patches()
    for count in (5, 100):
        values = torch.randn(count) * 3
        values[2] = float("nan")
        made = bytearray(count)
        loop = byte_loops.quantize.__wrapped__(count < byte_loops.FLOATS)
        arguments = (_bytes(values), made, count, _float_bits(0.05), _float_bits(7.0))
        run_calls([loop.ir + _QUANTIZE_OF_BITS], [ArmCall("quantize_of_bits", arguments)])
        expected = quantize(values, 0.05, 7)
        yield f"codes of {count} values", torch.equal(torch.frombuffer(made, dtype=torch.uint8), expected)


_QUANTIZE_OF_BITS = """
define void @quantize_of_bits(ptr %from, ptr %to, i64 %n, i64 %scale, i64 %zero) {
  %s = trunc i64 %scale to i32
  %z = trunc i64 %zero to i32
  %sf = bitcast i32 %s to float
  %zf = bitcast i32 %z to float
  call void @quantize(ptr %from, ptr %to, i64 %n, float %sf, float %zf)
  ret void
}
"""
"""The emulator's calls pass integers and memory, no floats."""


def _float_bits(value: float) -> int:
    return int.from_bytes(struct.pack("<f", value), "little")


def _patches() -> bool:
    """Whether the bytes under each row of a filter of 3 columns and 3 channels are copied in whole words."""
    # Eight bytes more, because whole words are read.
    x = torch.randint(0, 256, (2 * 5 * 9 * 3 + 8,), dtype=torch.uint8)
    sizes = byte_loops.CopyNumbers(2, 5, 7, 9, 16, 135, 27, 3, 5 * 7 * 16, 7 * 16, 16)
    made = bytearray(2 * 5 * 7 * 16)
    loop = byte_loops.copy_words.__wrapped__()
    numbers = b"".join(number.to_bytes(8, "little") for number in sizes)
    run_calls([loop.ir], [ArmCall(loop.name, (_bytes(x), made, numbers))])
    expected = F.pad(x.as_strided((2, 5, 7, 9), (135, 27, 3, 1)), (0, 7))
    return torch.equal(torch.frombuffer(made, dtype=torch.uint8).view(2, 5, 7, 16), expected)


SITES = ("adder", "mac", "binary", "adder_u8", "adder_u8_scaled")
LAYERS = {
    "3x3": ((2, 24, 7, 9), (3, 3), Geometry(padding=(1, 1), groups=24)),
    "3x3 of stride 2": ((1, 19, 9, 13), (3, 3), Geometry((2, 2), (1, 1), groups=19)),
    "dilated 2x4": ((1, 6, 8, 11), (2, 4), Geometry((1, 1), (0, 2), (2, 1), groups=6)),
}


def check_depthwise() -> Iterator[tuple[str, bool]]:
    """A line for each arithmetic of depthwise layers, in both layouts."""
    for site in SITES:
        for name, (size, taps, geometry) in LAYERS.items():
            for layout in (torch.contiguous_format, LAST):
                right = _depthwise(site, size, taps, geometry, layout)
                yield f"depthwise {site}, {name}, {'nhwc' if layout is LAST else 'nchw'}", right


def _depthwise(site: str, size: Any, taps: Any, geometry: Geometry, layout: torch.memory_format) -> bool:
    channels = size[1]
    if site.startswith("adder_u8"):
        x = torch.randint(0, 256, size, dtype=torch.uint8)
        w = torch.randint(0, 256, (channels, 1, *taps), dtype=torch.uint8)
    else:
        x, w = torch.randn(size), torch.randn(channels, 1, *taps)
    x = x.contiguous(memory_format=layout)
    factors = torch.rand(2, channels)
    made = depthwise.term(site)
    shape = (size[0], channels, *geometry.output_size(size[2:], taps))
    output = torch.empty(shape, dtype=made.output, memory_format=layout)
    views = x.shape, x.stride(), output.shape, output.stride(), None
    place = (w.shape, w.stride(), w.dtype, geometry, layout is LAST, 1)
    plan = depthwise._plan(site, *views, *place)
    (call,), order = plan.calls, plan.order
    arranged = _bytes(w)
    if order.copy is not None:
        copied = bytearray(order.elements * torch.empty(0, dtype=order.dtype).element_size())
        run_calls([order.copy.ir], [ArmCall(order.copy.name, (arranged, copied, bytes(order.numbers)))])
        arranged = bytes(copied)
    written = bytearray(output.nbytes)
    numbers, blank = bytearray(bytes(call.numbers)), _bytes(plan.blank)
    arguments = (arranged, _bytes(factors), bytes(4), _bytes(x), written, numbers, blank)
    run_calls([call.function.ir + _CONVOLVE_WITH_BLANK], [ArmCall("convolve_with_blank", arguments)])
    found = torch.frombuffer(written, dtype=made.output).as_strided(output.shape, output.stride())
    return torch.allclose(found, _expected(site, x, w, geometry, factors), rtol=1e-5, atol=1e-4)


_CONVOLVE_WITH_BLANK = f"""
define void @convolve_with_blank(ptr %w, ptr %f, ptr %h, ptr %x, ptr %out, ptr %numbers, ptr %blank) {{
  %place = getelementptr i64, ptr %numbers, i64 {DepthwiseNumbers._fields.index("blank")}
  %address = ptrtoint ptr %blank to i64
  store i64 %address, ptr %place
  call i32 @convolve(ptr %w, ptr %f, ptr %h, ptr %x, ptr %out, ptr %numbers)
  ret void
}}
"""
"""The numbers have the address of the row that is read outside the image."""


def _expected(site: str, x: Tensor, w: Tensor, geometry: Geometry, factors: Tensor) -> Tensor:
    scale, addend = factors[:, :, None, None]
    match site:
        case "adder":
            return reference.adder_forward(x, w, geometry)
        case "mac":
            return reference.mac_forward(x, w, geometry)
        case "binary":
            return reference.binary_forward(x, w, geometry) * scale + addend
        case "adder_u8":
            return reference.adder_u8_forward(x, w, geometry)
        case _:
            return reference.adder_u8_forward(x, w, geometry).float() * scale + addend


def main() -> None:
    torch.manual_seed(0)
    lines, wrong = ["Loops on images for arm64 under qemu-user", ""], 0
    with on_arm():
        for line, right in chain(check_packing(), check_bytes(), check_depthwise()):
            wrong += not right
            lines.append(line if right else f"{line}: WRONG")
            print(lines[-1], flush=True)
    write_file(RESULT, "\n".join(lines) + "\n", force=True)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
