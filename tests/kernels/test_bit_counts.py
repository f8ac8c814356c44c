"""Kernels of signs on processors that count the bits of each lane, but for which Halide has no name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from addercost.kernels.problem import Geometry

hl = pytest.importorskip("halide", reason="the CPU kernels need halide")
processor = pytest.importorskip("addercost.kernels.cpu.processor")
binary = pytest.importorskip("addercost.kernels.cpu.binary.convolution")
pipeline = pytest.importorskip("addercost.kernels.cpu.dense.pipeline")
rule = pytest.importorskip("addercost.kernels.cpu.dense.rule")

SKYLAKE = "x86-64-linux-avx-avx2-avx512-avx512_skylake-f16c-fma-sse41"
ICE_LAKE = f"{SKYLAKE}-avx512_cannonlake"
COUNTS = {"avx512vpopcntdq", "avx512bitalg", "avx512vbmi2", "avx512vnni"}
ELSEWHERE = re.compile(r".*(ph|sh|bf16)|tile.*|tdp.*|vpdp.*|vcvtne.*|vcvtph.*|extrq|insertq")
"""Instructions of fp16, bf16, matrix tiles and products of bytes, and AMD's own."""


@pytest.mark.parametrize(
    ("target", "features", "named", "counts"),
    [
        pytest.param(ICE_LAKE, COUNTS, "", True, id="ice-lake"),
        pytest.param(ICE_LAKE, set(), "", False, id="cannon-lake"),
        pytest.param(SKYLAKE, {"avx512vnni"}, "", False, id="cascade-lake"),
        pytest.param(f"{ICE_LAKE}-avx512_zen4", COUNTS, "", False, id="zen-4"),
        pytest.param(ICE_LAKE, COUNTS, ICE_LAKE, False, id="named-by-the-user"),
        pytest.param("x86-64-linux-avx-avx2", {"avx2"}, "", False, id="256-bits"),
    ],
)
def test_signs_alone_are_compiled_by_a_later_cores_name(target, features, named, counts, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(processor, "jit_target", lambda: hl.Target(target))
    monkeypatch.setattr(processor, "host_features", lambda: frozenset(features))
    monkeypatch.setenv("HL_JIT_TARGET", named)
    later = processor.target_of_signs.__wrapped__()
    assert later.has_feature(hl.TargetFeature.AVX512_SapphireRapids) is counts
    assert (later == hl.Target(target)) is not counts


def test_a_kernel_of_signs_has_no_instruction_that_ice_lake_lacks(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Its inner loop counts the bits of whole vectors."""
    monkeypatch.setattr(processor, "jit_target", lambda: hl.Target(ICE_LAKE))
    monkeypatch.setattr(processor, "host_features", lambda: frozenset(COUNTS))
    monkeypatch.delenv("HL_JIT_TARGET", raising=False)
    target = processor.target_of_signs.__wrapped__()
    x, shape = torch.randn(1, 64, 9, 14), (40, 64, 3, 3)
    core = processor.Core(vector_bytes=64, registers=32, ports=2.0, load_cycles=0.68)
    schedule = rule.default_schedule(binary.request_of(x, shape, Geometry()), core)
    plan = binary._plan(x.shape, x.stride(), shape, Geometry(), torch.contiguous_format, 1, schedule)
    output, arguments = pipeline.scheduled(plan.kernel.kernel)
    file = tmp_path / "kernel.s"
    output.compile_to({hl.OutputFileType.assembly: str(file)}, arguments, "kernel", target)
    # Halide's runtime, which follows the kernel, chooses by the processor at hand.
    kernel = file.read_text().split(".globl", 1)[1].split(".size", 1)[0]
    used = set(re.findall(r"^\t([a-z]\w*)", kernel, flags=re.M))
    assert "vpopcntd" in used
    assert not [name for name in used if ELSEWHERE.fullmatch(name)]
