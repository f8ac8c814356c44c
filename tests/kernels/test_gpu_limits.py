"""The loops that measure a GPU's limits: that they do what they say, and nothing else."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

triton = pytest.importorskip("triton", reason="the GPU kernels need triton")
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from addercost.counts.arithmetics import WITH_LAYERS  # noqa: E402
from addercost.kernels.gpu import limits  # noqa: E402
from addercost.kernels.gpu.tiles import WARPS  # noqa: E402
from tests.kernels.test_gpu_instructions import ARCHITECTURES, TOOL, disassembly, in_registers, inner_loop  # noqa: E402

NEEDS_TOOL = pytest.mark.skipif(not TOOL.exists(), reason="this triton comes without cuobjdump")
PACKAGE = "addercost.kernels.gpu"
STEP = limits.TILE.rows * limits.TILE.columns * limits.CONSTANTS["UNROLL"]


def compiled(function: Any, constants: dict[str, Any], pointer: str, architecture: int) -> Any:
    signature = {
        name: "constexpr" if name in constants else pointer if name.endswith("_ptr") else "i32"
        for name in function.arg_names
    }
    places = {name: (function.arg_names.index(name),) for name in function.arg_names}
    source = ASTSource(
        fn=function,
        signature=signature,
        constexprs={places[name]: value for name, value in constants.items()},
        attrs={places[name]: [["tt.divisibility", 16]] for name in signature if name.endswith("_ptr")},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return triton.compile(
            source, target=GPUTarget("cuda", architecture, 32), options={"num_warps": WARPS, "maxnreg": 168}
        )


@NEEDS_TOOL
@ARCHITECTURES
@pytest.mark.parametrize(
    ("site", "pointer", "expected"),
    [
        pytest.param("adder", "*fp32", {"FADD": 2 * STEP}, id="adder"),
        pytest.param("mac", "*fp32", {"FFMA": STEP}, id="mac", marks=pytest.mark.exhaustive),
        pytest.param("adder_u8", "*i32", {"VABSDIFF4": STEP}, id="adder-u8", marks=pytest.mark.exhaustive),
        pytest.param(
            "adder_half2",
            "*i32",
            {"HADD2": STEP, "HFMA2": STEP},
            id="adder-half2",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            "xnor",
            "*i32",
            {"POPC": STEP, "LOP3": STEP, "IADD3": STEP // 2},
            id="xnor",
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_the_loop_is_nothing_but_its_arithmetic(
    site: str, pointer: str, expected: dict[str, int], architecture: int, tmp_path: Path
) -> None:
    constants = {"SITE": site, "EMULATE": False, "LINES": 32, **limits.CONSTANTS}
    kernel = compiled(limits.limit_kernel, constants, pointer, architecture)
    loop = inner_loop(kernel, tmp_path, next(iter(expected)))
    total = sum(expected.values())
    assert sum(loop[opcode] for opcode in expected) == pytest.approx(total, rel=0.01), loop
    assert total >= 0.95 * loop.total(), loop
    assert kernel.metadata.shared == 0
    assert in_registers(loop), loop


@NEEDS_TOOL
def test_memory_is_read_in_loads_of_16_bytes(tmp_path: Path) -> None:
    kernel = compiled(limits.read_kernel, {"BLOCK": 4096, "BLOCKS": 8}, "*i32", 90)
    assert disassembly(kernel, tmp_path).count("LDG.E.128") == 4096 * 8 // (32 * WARPS * 4)


def test_the_loop_computes_its_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the interpreter: Σ over steps of |x[row] - w[step, column]|."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(PACKAGE)}
    try:
        interpreted = importlib.import_module(f"{PACKAGE}.limits")
        call, sites = interpreted.site_call("adder", torch.device("cpu"), 1, 48, emulate=True)
        x, w = (
            cell.cell_contents
            for name, cell in zip(call.__code__.co_freevars, call.__closure__, strict=True)
            if name in ("x", "w")
        )
        if x.dim() == 2:
            x, w = w, x
        lines = torch.arange(48) % 32
        expected = (x[:, None, None] - w[lines].t()[None]).abs().sum(2)
        assert sites == 48 * expected.numel()
        torch.testing.assert_close(call().view_as(expected), expected, rtol=1e-5, atol=1e-4)
    finally:
        for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
            del sys.modules[name]
        sys.modules.update(kept)


def test_every_limit_of_a_contender_is_one_that_can_be_measured() -> None:
    from addercost.measure.contenders.choice import contenders

    names = {c.limit for c in contenders(torch.device("cuda"), WITH_LAYERS, ("fp32", "fp16", "bf16", "int8"))}
    assert names - {""} <= set(limits.SITES) | set(limits.PRODUCTS)
