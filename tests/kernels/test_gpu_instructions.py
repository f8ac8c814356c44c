"""What the GPU would execute: inner loops compiled for sm_80 and sm_90 and disassembled. No GPU is needed.

Arithmetic instructions a thread should issue per step are derived: ROWS × COLUMNS sites, and per site two
FADD for an fp32 difference, one VABSDIFF4 for four bytes, one LOP3 and one POPC for 32 signs (whose sums
share an IADD3 in pairs).
"""

from __future__ import annotations

import re
import subprocess
import warnings
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

triton = pytest.importorskip("triton", reason="the GPU kernels need triton")
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from addercost.kernels.gpu import kernels, launch  # noqa: E402

TOOL = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="this triton comes without cuobjdump")

TYPES = {"fp32": "*fp32", "fp16": "*fp16", "bf16": "*bf16", "i32": "*i32"}
TILE = {
    "COLUMNS": launch.MOST_COLUMNS,
    "LANES_M": launch.LANES_M,
    "LANES_N": launch.LANES_N,
    "UNROLL": launch.UNROLL,
}


@cache
def compiled(name: str, site: str, number: str, architecture: int) -> Any:
    """The kernel for aligned tensors and channel counts divisible by 16, as Triton specialises them."""
    function = getattr(kernels, name)
    constants: dict[str, Any] = dict(TILE)
    if name == "convolution_kernel":
        constants |= {"SITE": site, "EMULATE": False, "ROWS": launch.ROWS}
    else:
        constants |= {"ROWS": launch.GRADIENT_ROWS}
    signature = {
        argument: "constexpr"
        if argument in constants
        else TYPES[number]
        if argument.endswith("_ptr")
        else "i32"
        for argument in function.arg_names
    }
    place = function.arg_names.index
    aligned = [
        a for a in ("x_ptr", "w_ptr", "y_ptr", "g_ptr", "C", "K", "x_n", "x_h", "x_w") if a in signature
    ]
    source = ASTSource(
        fn=function,
        signature=signature,
        constexprs={(place(argument),): value for argument, value in constants.items()},
        attrs={(place(argument),): [["tt.divisibility", 16]] for argument in aligned},
    )
    with warnings.catch_warnings():
        # About defaults of a later release; the kernels name their fused operations.
        warnings.simplefilter("ignore")
        return triton.compile(
            source, target=GPUTarget("cuda", architecture, 32), options={"num_warps": launch.WARPS}
        )


def inner_loop(kernel: Any, tmp_path: Path, arithmetic: str) -> Counter[str]:
    """Opcodes, without their suffixes, of the innermost loop with most of `arithmetic`."""
    cubin = tmp_path / "kernel.cubin"
    cubin.write_bytes(kernel.asm["cubin"])
    listing = subprocess.run([TOOL, "-sass", cubin], capture_output=True, text=True, check=True).stdout
    rows = [(int(m[1], 16), m[2]) for m in re.finditer(r"/\*([0-9a-f]{4,})\*/\s+([^;]*);", listing)]
    jumps = [(address, re.search(r"\bBRA\b.*0x([0-9a-f]+)", text)) for address, text in rows]
    spans = [(int(to[1], 16), address) for address, to in jumps if to and int(to[1], 16) < address]
    innermost = [
        (low, high)
        for low, high in spans
        if not any(low <= a and b <= high and (a, b) != (low, high) for a, b in spans)
    ]
    loops = [
        Counter(
            re.sub(r"^@!?U?P\d+\s+", "", text).split()[0].split(".")[0]
            for address, text in rows
            if low <= address <= high
        )
        for low, high in innermost
    ]
    return max(loops, key=lambda loop: loop[arithmetic])


STEP = launch.ROWS * launch.MOST_COLUMNS * launch.UNROLL
GRADIENT_STEP = launch.GRADIENT_ROWS * launch.MOST_COLUMNS * launch.UNROLL

FORWARD = [
    pytest.param("adder", "fp32", {"FADD": 2 * STEP}, id="adder-fp32"),
    pytest.param("adder", "fp16", {"FADD": 2 * STEP}, id="adder-fp16"),
    pytest.param("adder", "bf16", {"FADD": 2 * STEP}, id="adder-bf16"),
    pytest.param("adder_u8", "i32", {"VABSDIFF4": STEP}, id="adder-u8"),
    pytest.param("xnor", "i32", {"POPC": STEP, "LOP3": STEP, "IADD3": STEP // 2}, id="xnor"),
]


@pytest.mark.parametrize("architecture", [80, 90], ids=["sm_80", "sm_90"])
@pytest.mark.parametrize(("site", "number", "expected"), FORWARD)
def test_inner_loop_is_mostly_the_arithmetic(
    site: str, number: str, expected: dict[str, int], architecture: int, tmp_path: Path
) -> None:
    kernel = compiled("convolution_kernel", site, number, architecture)
    loop = inner_loop(kernel, tmp_path, next(iter(expected)))
    for opcode, count in expected.items():
        assert count <= loop[opcode] <= 1.05 * count, (opcode, loop)
    assert sum(loop[opcode] for opcode in expected) >= 0.7 * loop.total(), loop


@pytest.mark.parametrize("architecture", [80, 90], ids=["sm_80", "sm_90"])
@pytest.mark.parametrize(("site", "number", "expected"), FORWARD)
def test_inner_loop_touches_neither_shared_nor_spilled_memory(
    site: str, number: str, expected: dict[str, int], architecture: int, tmp_path: Path
) -> None:
    kernel = compiled("convolution_kernel", site, number, architecture)
    assert kernel.metadata.shared == 0
    loop = inner_loop(kernel, tmp_path, next(iter(expected)))
    assert not {"LDS", "STS", "LDSM", "STSM", "BAR", "LDL", "STL"} & set(loop), loop


@pytest.mark.parametrize(("architecture", "clips"), [(80, 2), (90, 1)], ids=["sm_80", "sm_90"])
@pytest.mark.parametrize("number", ["fp32", "bf16"])
def test_input_gradient_is_subtract_clip_multiply_add(
    number: str, architecture: int, clips: int, tmp_path: Path
) -> None:
    kernel = compiled("input_gradient_kernel", "", number, architecture)
    loop = inner_loop(kernel, tmp_path, "FFMA")
    # sm_80 clips by a minimum and a maximum, sm_90 by one minimum of magnitudes that keeps the sign.
    expected = {"FADD": GRADIENT_STEP, "FMNMX": clips * GRADIENT_STEP, "FFMA": GRADIENT_STEP}
    assert {opcode: loop[opcode] for opcode in expected} == expected
    assert 0.7 * loop.total() <= sum(expected.values()), loop
    assert not {"LDS", "STS", "BAR", "LDL", "STL"} & set(loop), loop
    assert re.search(r"min\.NaN", kernel.asm["ptx"])
