"""What tests of commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "examples" / "lenet5_bn.py"

Run = Callable[..., str]
"""Runs a command and returns its stdout: the fixture `addercost`."""

PAPER = ("--cpu", "via-nano-2000", "--cost-model", "latency-sum")
"""The paper's processor and its rule."""


def as_json(text: str) -> Any:
    return json.loads(text)
