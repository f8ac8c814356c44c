"""The layers are tested on the reference kernels; `tests/kernels` compares the others with them."""

from __future__ import annotations

import pytest

from addercost.kernels import dispatch


@pytest.fixture(autouse=True)
def _reference_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.VARIABLE, "reference")
