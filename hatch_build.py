"""Puts the manual pages into a wheel, where `make dist` has written them; `pip install .` goes without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGES = "output/man1"


class ManualPages(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel" and (Path(self.root) / PAGES).is_dir():
            build_data["shared_data"][PAGES] = "share/man/man1"
