"""The built-in tables of the processor that this process runs on."""

from __future__ import annotations

import re

from addercost.hardware.loader import list_hardware
from addercost.hardware.this_machine import cpu_model

_MCPU = re.compile(r"-mcpu=([\w.-]+)|LLVM \d+ schedules ([\w.-]+) by")
"""LLVM's name of a core in the source of its figures, or in the reason why it has another core's."""


def core_name() -> str:
    """LLVM's name of this machine's core, such as "znver4"; "" where LLVM does not know it."""
    try:
        import llvmlite.binding as llvm

        return str(llvm.get_host_cpu_name())
    except Exception:  # a broken package may raise any exception
        return ""


def this_processor() -> str:
    """The name of the built-in table of this machine's core, such as `amd-zen3`. Where there is none, the
    processor's own name in small letters. In a virtual machine that name can be common to several processors,
    such as `AMD EPYC`.
    """
    tables = matching_tables(core_name())
    return tables[0] if tables else re.sub(r"[^a-z0-9]+", "-", cpu_model().lower()).strip("-")


def matching_tables(core: str) -> tuple[str, ...]:
    """Built-in tables whose figures are LLVM's for this core."""
    return tuple(
        file.name
        for file in list_hardware()
        if file.kind in ("cpu", "core")
        and file.origin == "built-in"
        and core
        and any(core in names for names in _MCPU.findall(file.path.read_text("utf-8")))
    )
