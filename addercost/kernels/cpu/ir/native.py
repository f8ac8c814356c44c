"""LLVM IR compiled for the processor that it runs on."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import llvmlite.binding as llvm


class NativeCode:
    """The functions of a module of LLVM IR, given as text.

    `optimised` runs LLVM's passes over it first; without them its instructions stay as they are written.
    """

    def __init__(self, text: str, optimised: bool = True) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        # For modules with inline assembly.
        llvm.initialize_native_asmparser()
        module = llvm.parse_assembly(text)
        module.verify()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
        )
        if optimised:
            builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
            builder.getModulePassManager().run(module, builder)
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()

    def function(self, name: str, result: Any, *arguments: Any) -> Any:
        """The function `name`, called with and returning values of these ctypes types. It does not hold the
        interpreter's lock while it runs."""
        function: Any = ctypes.CFUNCTYPE(result, *arguments)(self._engine.get_function_address(name))
        # The engine owns the code, so the function keeps the engine alive.
        function.engine = self._engine
        return function


def host_core() -> str:
    """LLVM's name of this processor's core, such as `znver3`."""
    name: str = llvm.get_host_cpu_name()
    return name


@cache
def host_features() -> frozenset[str]:
    """LLVM's names of the features that this processor has."""
    return frozenset(name for name, present in llvm.get_host_cpu_features().items() if present)


@cache
def masks_bytes() -> bool:
    """Whether one instruction can load or store the bytes of a vector that a mask names.

    Elsewhere LLVM makes a branch for each byte.
    """
    return not host_features().isdisjoint({"avx512bw", "sve"})
