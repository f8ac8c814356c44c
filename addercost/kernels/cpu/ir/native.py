"""LLVM IR, compiled for the processor that this process runs on."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import llvmlite.binding as llvm


class NativeCode:
    """The compiled functions of one module of LLVM IR, which is given as text.

    optimised: LLVM's passes run over the module first. Otherwise its instructions stay as they are written.
    """

    def __init__(self, text: str, optimised: bool = True) -> None:
        module = llvm.parse_assembly(text)
        module.verify()
        self._engine = engine_of(module, optimised)
        self._engine.finalize_object()

    def function(self, name: str, result: Any, *arguments: Any) -> Any:
        """The function `name` as a ctypes callable with these types. It runs without the
        interpreter's lock."""
        function: Any = ctypes.CFUNCTYPE(result, *arguments)(self._engine.get_function_address(name))
        # The engine owns the code, so the callable keeps the engine alive.
        function.engine = self._engine
        return function

    def place(self, name: str) -> int:
        """The address of the global variable `name`."""
        address: int = self._engine.get_global_value_address(name)
        return address


def engine_of(module: Any, optimised: bool = False) -> Any:
    """LLVM's compiler of a module for this processor, which keeps the code in memory.

    The memory of a module is one piece. Otherwise its code and its constants may be more than 2 GiB apart in
    a process with large tensors. Instructions do not reach so far, and LLVM ends the process.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # Modules with inline assembly need this.
    llvm.initialize_native_asmparser()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    if optimised:
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
        builder.getModulePassManager().run(module, builder)
    return llvm.create_mcjit_compiler(module, machine, use_lmm=True)


def host_core() -> str:
    """LLVM's name of this processor's core, such as `znver3`."""
    name: str = llvm.get_host_cpu_name()
    return name


@cache
def host_features() -> frozenset[str]:
    """LLVM's names for the features of this processor."""
    return frozenset(name for name, present in llvm.get_host_cpu_features().items() if present)


@cache
def masks_bytes() -> bool:
    """Whether one instruction can load or store those bytes of a vector that a mask selects.

    Without such an instruction, LLVM makes a branch for each byte.
    """
    return not host_features().isdisjoint({"avx512bw", "sve"})
