"""A fixture that runs a test as on a processor whose vectors have masks for bytes, and as on one without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest


def with_and_without_masks(module: ModuleType, plan: Callable[..., Any]) -> Any:
    """module: asks the processor by `masks_bytes`. plan: its function whose cache depends on the answer."""

    @pytest.fixture(params=[True, False], ids=["masks", "no-masks"])
    def masks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(module, "masks_bytes", lambda: request.param)
        plan.cache_clear()  # type: ignore[attr-defined]
        yield
        plan.cache_clear()  # type: ignore[attr-defined]

    return masks
