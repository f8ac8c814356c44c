"""Kernels for arm64: which form is chosen there, and the instructions of its inner loop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

hl = pytest.importorskip("halide", reason="the CPU kernels need halide")
processor = pytest.importorskip("addercost.kernels.cpu.processor")
u8 = pytest.importorskip("addercost.kernels.cpu.u8.convolution")
arm_check = pytest.importorskip("tools.arm_check")


@pytest.mark.parametrize(
    ("target", "features", "named", "dot"),
    [
        ("arm-64-linux", {"neon", "dotprod"}, "", True),
        ("arm-64-linux", {"neon"}, "", False),
        ("arm-64-linux", {"neon", "dotprod"}, "arm-64-linux", False),
        ("x86-64-linux", {"avx2", "dotprod"}, "", False),
    ],
    ids=["dot-product", "without", "named-by-the-user", "x86"],
)
def test_the_dot_product_is_used_where_it_is(target, features, named, dot, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(hl, "get_jit_target_from_environment", lambda: hl.Target(target))
    monkeypatch.setattr(processor, "host_features", lambda: frozenset(features))
    monkeypatch.setenv("HL_JIT_TARGET", named)
    assert processor.jit_target.__wrapped__().has_feature(hl.TargetFeature.ARMDotProd) is dot


@pytest.mark.parametrize("arm", [False, True])
def test_a_lane_sums_four_bytes_on_arm(arm: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(u8, "is_arm", lambda: arm)
    x, w = torch.zeros(1, 8, 4, 4, dtype=torch.uint8), torch.zeros(8, 8, 3, 3, dtype=torch.uint8)
    u8._plan.cache_clear()
    request = u8.request_of(x, w, arm_check.GEOMETRY)
    u8._plan.cache_clear()
    assert request.site == ("adder_u8_scaled_by_four" if arm else "adder_u8_scaled")
    assert request.arithmetic.packed == request.arithmetic.lane_bytes == (4 if arm else 8)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("target", "steps"),
    [
        pytest.param(arm_check.TARGET, ("uabd", "uaddlp", "uadalp"), id="neon"),
        pytest.param(arm_check.DOT_PRODUCT, ("uabd", "udot"), id="dot-product"),
    ],
)
def test_each_step_of_bytes_is_two_or_three_instructions(target, steps, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    kernel = arm_check._bytes("channels-last", torch.channels_last, target)
    _, assembly = arm_check.compiled(kernel, tmp_path)
    loop = arm_check.inner_loop(assembly)
    tile = kernel.kernel.vectors * kernel.kernel.pixels
    mnemonics = [line.split()[0] for line in loop if line.split()[0].startswith("u")]
    assert sorted(mnemonics) == sorted(steps * tile)
    assert not any("[sp" in line for line in loop)
