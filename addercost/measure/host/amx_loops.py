"""The inner loops of kernels on AMX, the matrix unit of Intel's servers, with two by two tiles of sums.

A round loads two tiles of inputs and two of weights, 16 rows of 64 bytes each, and multiplies all pairs.
"""

from __future__ import annotations

import ctypes
import platform
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from addercost.arithmetic import Arithmetic

ROWS, ROW_BYTES = 16, 64
TILE_BYTES = ROWS * ROW_BYTES
PRODUCTS = 4
"""How many products of tiles a round of the loop has."""

CONFIGURATION_OFFSET = 2 * TILE_BYTES
"""The offset in bytes of the tile configuration in the memory of inputs. It follows the two tiles of
inputs.
"""

_SYS_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA = 158, 0x1023, 18


@dataclass(frozen=True, slots=True)
class TileLoop:
    """A loop on tiles. sites: pairs of input and weight in one product of tiles. values: the kind of operands
    (`loops.operands`).
    """

    name: str
    number_format: str
    text: str
    sites: int
    values: str
    arithmetic: Arithmetic = Arithmetic.MAC
    bits: int = 8 * TILE_BYTES

    @property
    def weights(self) -> str:
        return self.values


_LOOPS = (
    ("amx-int8", TileLoop("mac_u8_tiles", "int8", "tdpbssd", ROWS * ROWS * ROW_BYTES, "bytes")),
    ("amx-bf16", TileLoop("mac_bf16_tiles", "bf16", "tdpbf16ps", ROWS * ROWS * ROW_BYTES // 2, "bf16")),
    ("amx-fp16", TileLoop("mac_fp16_tiles", "fp16", "tdpfp16ps", ROWS * ROWS * ROW_BYTES // 2, "fp16")),
)


def amx_loops(features: Collection[str]) -> Iterator[TileLoop]:
    """The loops that a machine with these features (LLVM's names) can run."""
    for feature, loop in _LOOPS:
        if {feature, "amx-tile"} <= set(features):
            yield loop


def tile_loop_ir(symbol: str, loop: TileLoop) -> str:
    """LLVM IR of `void symbol(ptr inputs, ptr weights, i64 n)`: n rounds of `PRODUCTS` products.

    Tiles 0 to 3 are sums, 4 and 5 inputs, 6 and 7 weights.
    """
    round_ = [
        *(f"tileloadd {TILE_BYTES * i}($0,$2,1), %tmm{4 + i}" for i in range(2)),
        *(f"tileloadd {TILE_BYTES * i}($1,$2,1), %tmm{6 + i}" for i in range(2)),
        *(f"{loop.text} %tmm{6 + w}, %tmm{4 + x}, %tmm{2 * x + w}" for x in range(2) for w in range(2)),
    ]
    start = [f"ldtilecfg {CONFIGURATION_OFFSET}($0)", *(f"tilezero %tmm{tile}" for tile in range(4))]
    arguments = f"ptr %inputs, ptr %weights, i64 {ROW_BYTES}"
    return f"""define void @{symbol}(ptr %inputs, ptr %weights, i64 %n) {{
entry:
  call void asm sideeffect "{_joined(start)}", "r,~{{memory}}"(ptr %inputs)
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  call void asm sideeffect "{_joined(round_)}", "r,r,r,~{{memory}}"({arguments})
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  call void asm sideeffect "tilerelease", ""()
  ret void
}}
"""


def _joined(instructions: list[str]) -> str:
    return "\\0A".join(instructions)


def tile_configuration() -> bytes:
    """The configuration of eight tiles of 16 rows of 64 bytes, in the form that `ldtilecfg` reads (Intel SDM,
    volume 2, LDTILECFG).
    """
    return struct.pack("<B15x8H16x8B8x", 1, *[ROW_BYTES] * 8, *[ROWS] * 8)


def tiles_permitted() -> bool:
    """Asks Linux for permission to use tiles, which a process must do before its first use. Whether Linux
    grants it.
    """
    if platform.system() != "Linux":
        return False
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    return bool(syscall(_SYS_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA) == 0)
