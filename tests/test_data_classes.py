"""Data is frozen: what one part of the program was given, no other part can change."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import addercost

FILLED_STEP_BY_STEP = {"Lowered"}
"""Data classes whose fields are assigned after they are made."""


def data_classes(package: str) -> Iterator[type]:
    module = importlib.import_module(package)
    inside = pkgutil.walk_packages(getattr(module, "__path__", []), package + ".")
    for name in (package, *(one.name for one in inside)):
        for one in vars(importlib.import_module(name)).values():
            if isinstance(one, type) and dataclasses.is_dataclass(one) and one.__module__ == name:
                yield one


@pytest.mark.parametrize("part", ["counts", "cost", "hardware", "reading", "results", "units"])
def test_fields_cannot_be_assigned(part: str) -> None:
    for one in data_classes(f"{addercost.__name__}.{part}"):
        for field in dataclasses.fields(one):
            if one.__qualname__ not in FILLED_STEP_BY_STEP:
                with pytest.raises(dataclasses.FrozenInstanceError):
                    setattr(object.__new__(one), field.name, None)
