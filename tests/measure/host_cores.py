"""Cores that tests calibrate: their features, as LLVM names them."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from addercost.kernels.cpu.ir import native

AVX2 = {"avx2", "fma", "popcnt", "bmi2"}
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512dq", "avx512vnni", "avx512vpopcntdq"}


def set_host(monkeypatch: pytest.MonkeyPatch, features: Iterable[str]) -> None:
    """This machine's core has these features and no others."""
    monkeypatch.setattr(native, "host_core", lambda: "core")
    monkeypatch.setattr(native, "host_features", lambda: frozenset(features))
