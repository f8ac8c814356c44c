"""What the GPU would execute: inner loops compiled for sm_80 and sm_90 and disassembled. No GPU is needed.

Arithmetic instructions a thread should issue per step are derived: ROWS × COLUMNS sites, and per site two
FADD for an fp32 difference, one VABSDIFF4 for four bytes, one LOP3 and one POPC for 32 signs (whose sums
share an IADD3 in pairs), two packed fp16 additions for two halves. `LDG` of 16 bytes: one a row for four
words, one a step for four columns.
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

from addercost.kernels.gpu import kernels, launch, weight_gradient  # noqa: E402
from addercost.kernels.gpu.tiles import GRADIENT_TILES, RUN_TILES, SUM_TILES, UNROLL, WARPS, Tile  # noqa: E402
from tests.kernels.geometries import exhaustive  # noqa: E402

TOOL = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="this triton comes without cuobjdump")

SUM_TILE = Tile(8, 8, 4)
GRADIENT_TILE = Tile(4, 8, 4)
RUN_TILE = Tile(8, 4, 4)

# The number format of activations; tiled weights are always 32-bit words.
NUMBERS = {
    "fp32": ("*fp32", "*fp32", "*fp32"),
    "fp16": ("*fp16", "*fp32", "*fp16"),
    "bf16": ("*bf16", "*fp32", "*bf16"),
    "i32": ("*i32", "*i32", "*i32"),
    "half2": ("*i32", "*i32", "*fp16"),
}


@cache
def compiled(name: str, site: str, number: str, architecture: int, tile: Tile, aligned: bool = True) -> Any:
    """The kernel as `launch` compiles it for pixels whose channels start at 16 bytes."""
    function = getattr(kernels, name)
    image, weights, output = NUMBERS[number]
    constants: dict[str, Any] = {"SITE": site, "EMULATE": False, "ALIGNED": aligned, **tile.constants()}
    if name == "convolution_kernel":
        constants |= {"DENSE": False}
    pointers = {"w_ptr": weights, "y_ptr": output}
    signature = {
        argument: "constexpr"
        if argument in constants
        else pointers.get(argument, image)
        if argument.endswith("_ptr")
        else "i32"
        for argument in function.arg_names
    }
    place = function.arg_names.index
    source = ASTSource(
        fn=function,
        signature=signature,
        constexprs={(place(argument),): value for argument, value in constants.items()},
    )
    with warnings.catch_warnings():
        # About defaults of a later release; the kernels name their fused operations.
        warnings.simplefilter("ignore")
        return triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=launch._options())


def disassembly(kernel: Any, tmp_path: Path) -> str:
    cubin = tmp_path / "kernel.cubin"
    cubin.write_bytes(kernel.asm["cubin"])
    return subprocess.run([TOOL, "-sass", cubin], capture_output=True, text=True, check=True).stdout


def inner_loop(kernel: Any, tmp_path: Path, arithmetic: str) -> Counter[str]:
    """Opcodes, without their suffixes, of the innermost loop with most of `arithmetic`."""
    listing = disassembly(kernel, tmp_path)
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


def sites(tile: Tile) -> int:
    """Of a thread, in an unrolled step."""
    return tile.rows * tile.columns * UNROLL


EXHAUSTIVE = pytest.mark.exhaustive
STEP, RUN = sites(SUM_TILE), sites(RUN_TILE)
FORWARD = [
    pytest.param("adder", "fp32", SUM_TILE, {"FADD": 2 * STEP}, 0.9, id="adder-fp32"),
    pytest.param("adder", "fp16", SUM_TILE, {"FADD": 2 * STEP}, 0.85, id="adder-fp16", marks=EXHAUSTIVE),
    pytest.param("adder", "bf16", SUM_TILE, {"FADD": 2 * STEP}, 0.85, id="adder-bf16", marks=EXHAUSTIVE),
    pytest.param("mac", "fp32", SUM_TILE, {"FFMA": STEP}, 0.85, id="mac-fp32", marks=EXHAUSTIVE),
    pytest.param("adder_u8", "i32", SUM_TILE, {"VABSDIFF4": STEP}, 0.85, id="adder-u8", marks=EXHAUSTIVE),
    pytest.param(
        *("xnor", "i32", SUM_TILE, {"POPC": STEP, "LOP3": STEP, "IADD3": STEP // 2}, 0.9),
        id="xnor",
        marks=EXHAUSTIVE,
    ),
]
SM_80 = pytest.param(80, id="sm_80", marks=EXHAUSTIVE)
SM_90 = pytest.param(90, id="sm_90")
ARCHITECTURES = pytest.mark.parametrize("architecture", [SM_80, SM_90])


def in_registers(loop: Counter[str]) -> bool:
    """Nothing passes through shared memory, nothing is spilled; a compiler may reload an address or two."""
    shared = sum(loop[opcode] for opcode in ("LDS", "STS", "LDSM", "STSM", "BAR", "STL"))
    return shared == 0 and loop["LDL"] <= 0.01 * loop.total()


@ARCHITECTURES
@pytest.mark.parametrize(("site", "number", "tile", "expected", "share"), FORWARD)
def test_inner_loop_is_mostly_the_arithmetic(
    site: str,
    number: str,
    tile: Tile,
    expected: dict[str, int],
    share: float,
    architecture: int,
    tmp_path: Path,
) -> None:
    kernel = compiled("convolution_kernel", site, number, architecture, tile)
    loop = inner_loop(kernel, tmp_path, next(iter(expected)))
    for opcode, count in expected.items():
        assert count <= loop[opcode] <= 1.05 * count, (opcode, loop)
    assert sum(loop[opcode] for opcode in expected) >= share * loop.total(), loop
    assert kernel.metadata.shared == 0
    assert in_registers(loop), loop
    words_in_load = 4 if number in ("fp32", "i32") else 8
    assert loop["LDG"] == UNROLL * (tile.rows / words_in_load + tile.columns / 4)


@pytest.mark.exhaustive
@ARCHITECTURES
def test_two_halves_are_one_instruction(architecture: int, tmp_path: Path) -> None:
    """Two packed additions for two sites; then each word is widened by two of each addition."""
    kernel = compiled("convolution_kernel", "adder_half2", "half2", architecture, RUN_TILE)
    loop = inner_loop(kernel, tmp_path, "HADD2")
    widened = RUN_TILE.rows * RUN_TILE.columns
    # Some of the additions are spelled as fused ones by 1.
    assert loop["HADD2"] + loop["HFMA2"] == 2 * RUN + 2 * widened, loop
    assert loop["FADD"] == 2 * widened, loop
    assert 0.7 * loop.total() <= 2 * RUN, loop
    assert kernel.metadata.shared == 0
    assert in_registers(loop), loop
    text = disassembly(kernel, tmp_path)
    assert re.search(r"HADD2 R\d+, (R\d+, )?\|R\d+\|", text), "the magnitude is an operand's own"


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("architecture", "clips"),
    [pytest.param(80, 2, id="sm_80"), pytest.param(90, 1, id="sm_90")],
)
@pytest.mark.parametrize("number", ["fp32", "bf16"])
def test_input_gradient_is_subtract_clip_multiply_add(
    number: str, architecture: int, clips: int, tmp_path: Path
) -> None:
    kernel = compiled("input_gradient_kernel", "clip", number, architecture, GRADIENT_TILE)
    loop = inner_loop(kernel, tmp_path, "FFMA")
    # sm_80 clips by a minimum and a maximum, sm_90 by one minimum of magnitudes that keeps the sign.
    step = sites(GRADIENT_TILE)
    expected = {"FADD": step, "FMNMX": clips * step, "FFMA": step}
    assert {opcode: loop[opcode] for opcode in expected} == expected
    assert sum(expected.values()) >= 0.85 * loop.total(), loop
    assert in_registers(loop), loop
    assert re.search(r"min\.NaN", kernel.asm["ptx"])


@ARCHITECTURES
@pytest.mark.parametrize("number", ["fp16", *exhaustive("fp32")])
def test_weight_gradient_is_a_matrix_product(number: str, architecture: int, tmp_path: Path) -> None:
    kernel = weight_kernel("weight_product_kernel", number, architecture)
    if number == "fp32":
        loop = inner_loop(kernel, tmp_path, "FFMA")
        # 64 × 64 sums of 32 pixels on 128 threads; everything stays fp32.
        assert loop["FFMA"] == 64 * 64 * 32 // (32 * WARPS), loop
        assert not {"HMMA", "HGMMA"} & set(loop)
    else:
        assert re.search(r"HMMA|HGMMA", disassembly(kernel, tmp_path)), "half precision uses tensor cores"


@pytest.mark.exhaustive
@ARCHITECTURES
def test_sign_of_the_weight_gradient_stays_in_registers(architecture: int, tmp_path: Path) -> None:
    kernel = weight_kernel("weight_sign_kernel", "fp32", architecture)
    loop = inner_loop(kernel, tmp_path, "FFMA")
    assert loop["FFMA"] == 64 * 64 // (32 * WARPS), loop
    assert not {"LDL", "STL"} & set(loop), loop


@pytest.mark.parametrize(
    "tile",
    [SUM_TILE, *exhaustive(*(tile for tile in SUM_TILES if tile != SUM_TILE))],
    ids=lambda t: f"{t.rows}x{t.columns}x{t.warps_n}",
)
def test_a_thread_holds_the_neighbours_that_one_load_fetches(tile: Tile) -> None:
    """Wide loads and stores by PTX are right only where Triton spreads a tile as the kernels assume: warps of
    8 × 4 threads, side by side, and every thread's sums in the order of its columns."""
    kernel = compiled("convolution_kernel", "adder", "fp32", 90, tile)
    text = kernel.asm["ttgir"]
    (whole,) = set(re.findall(r"packed_element = 4 .*?-> tensor<[^,]*, (#\w+)>", text))
    (layout,) = re.findall(rf"^{whole} = #ttg.blocked<\{{(.*)\}}>", text, re.M)
    assert layout == (
        "sizePerThread = [1, 1, 1, 1, 1], threadsPerWarp = [1, 1, 1, 8, 4], "
        f"warpsPerCTA = [1, 1, {tile.warps_n}, {WARPS // tile.warps_n}, 1], order = [4, 3, 2, 1, 0]"
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "tile", [*GRADIENT_TILES, *RUN_TILES], ids=lambda t: f"{t.rows}x{t.columns}x{t.warps_n}"
)
def test_no_tile_spills_in_its_inner_loop(tile: Tile, tmp_path: Path) -> None:
    if tile in GRADIENT_TILES:
        kernel = compiled("input_gradient_kernel", "clip", "fp32", 90, tile)
        loop = inner_loop(kernel, tmp_path, "FFMA")
    else:
        kernel = compiled("convolution_kernel", "adder_half2", "half2", 90, tile)
        loop = inner_loop(kernel, tmp_path, "HADD2")
    assert kernel.metadata.shared == 0
    assert in_registers(loop), loop


def weight_kernel(name: str, number: str, architecture: int) -> Any:
    function = getattr(weight_gradient, name)
    constants = {"BLOCK_P": 32, "BLOCK_K": 64, "BLOCK_C": 64}
    constants = {key: value for key, value in constants.items() if key in function.arg_names}
    signature = {
        argument: "constexpr"
        if argument in constants
        else "*fp32"
        if argument == "part_ptr"
        else NUMBERS[number][0]
        if argument.endswith("_ptr")
        else "i32"
        for argument in function.arg_names
    }
    source = ASTSource(
        fn=function,
        signature=signature,
        constexprs={(function.arg_names.index(argument),): value for argument, value in constants.items()},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return triton.compile(
            source, target=GPUTarget("cuda", architecture, 32), options={"num_warps": WARPS}
        )
