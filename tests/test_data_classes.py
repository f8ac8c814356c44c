"""Data is frozen: what one part of the program was given, no other part can change."""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import addercost
from addercost.arithmetic import Arithmetic
from addercost.hardware.vocabulary import Form

FILLED_STEP_BY_STEP = {"Lowered"}
"""Data classes whose fields are assigned after they are made."""

NOT_EMPTY = {
    "InnerLoop": {"own_layers": True},
    "MatrixProduct": {"repeats": 1, "arithmetic": Arithmetic.MAC, "operand_bytes": 4.0},
    "ModelCounts": {"tracer": "meta"},
    "Sites": {
        "number_format": "fp32",
        "accumulator_format": "fp32",
        "arithmetic": Arithmetic.MAC,
        "negated": True,
        "scaled": True,
    },
    "KernelsAlone": {"half_bytes": math.inf},
    "LayerEnergy": {"complete": True},
    "LayerEstimate": {"complete": True},
    "Step": {"times": 1},
    "Target": {
        "preferred_float_form": Form.SCALAR,
        "device_class": "desktop",
        "working_cores": 1,
        "wake_up_s": 5e-6,
        "kernel_layout": "contiguous",
        "kernel_mode": "eager",
        "kernel_caches": "network",
    },
    "PredictedRatio": {"bounds": ("", "")},
    "Conditions": {"mode": "eager", "layout": "contiguous", "speeds": "quiet"},
    "KernelSample": {"factor": 1.0},
    "NetworkSample": {"factor": 1.0},
    "CpuPart": {"device_class": "desktop"},
    "Cpu": {"preferred_float_form": Form.SCALAR},
    "PhaseCost": {"complete": True},
    "PhaseEnergy": {"complete": True},
    "PhaseReport": {"complete": True},
    "TextCost": {"complete": True},
    "MeasuredKernel": {"launches": 1},
    "MeasuredRow": {"dtype": "fp32"},
    "TimingColumns": {"unit": "ms", "model": "model"},
    "PublishedTiming": {"batch": 1},
    "Estimated": {"charged": 1.0},
    "EnergyEstimated": {"charged": 1.0},
    "SweepSettings": {"arithmetics": ("mac",), "conventions": ("full",), "batches": (1,)},
    "_Storage": {"made": -1},
    "RowPrediction": {"complete": True},
    "ValidationRow": {"group": "networks"},
    "Limits": {"finite": True},
}
"""By data class, the fields that say something where nothing is given for them: a layer is complete, a batch
has one sample, and so on. Functions and data classes are left out."""


def classes(package: str) -> Iterator[type]:
    module = importlib.import_module(package)
    inside = pkgutil.walk_packages(getattr(module, "__path__", []), package + ".")
    for name in (package, *(one.name for one in inside)):
        for one in vars(importlib.import_module(name)).values():
            if isinstance(one, type) and one.__module__ == name:
                yield one


def data_classes(package: str) -> Iterator[type]:
    return (one for one in classes(package) if dataclasses.is_dataclass(one))


EMPTY: tuple[Any, ...] = (None, False, 0, 0.0, "", (), {}, frozenset(), [])
PARTS = ["counts", "cost", "hardware", "reading", "results", "units"]


def default(field: dataclasses.Field[Any]) -> Any:
    """What a field is where nothing is given for it; None where something must be."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


@pytest.mark.parametrize("part", PARTS)
def test_a_class_of_fields_is_a_data_class(part: str) -> None:
    """Or a tuple; one that fills its fields itself has an `__init__`, and a protocol has none."""
    for one in classes(f"{addercost.__name__}.{part}"):
        if vars(one).get("__annotations__") and not getattr(one, "_is_protocol", False):
            assert "__init__" in vars(one) or issubclass(one, tuple), one


@pytest.mark.parametrize("part", PARTS)
def test_fields_cannot_be_assigned(part: str) -> None:
    for one in data_classes(f"{addercost.__name__}.{part}"):
        for field in dataclasses.fields(one):
            if one.__qualname__ not in FILLED_STEP_BY_STEP:
                with pytest.raises(dataclasses.FrozenInstanceError):
                    setattr(object.__new__(one), field.name, None)


def test_what_is_not_given_is_empty() -> None:
    """A document or table of an older version lacks a field: it says nothing then, and no made-up number."""
    for part in PARTS:
        for one in data_classes(f"{addercost.__name__}.{part}"):
            found = {field.name: default(field) for field in dataclasses.fields(one)}
            said = {
                name: value
                for name, value in found.items()
                if value not in EMPTY and not callable(value) and not dataclasses.is_dataclass(value)
            }
            assert said == NOT_EMPTY.get(one.__qualname__, {}), one
