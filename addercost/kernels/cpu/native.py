"""Functions written in LLVM IR, compiled for this machine."""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding as llvm

_engines: list[Any] = []
"""An engine owns its code and must live as long as the function."""


def native_function(ir: str, name: str, result: Any, *arguments: Any, as_written: bool = False) -> Any:
    """The function `name` of the module `ir`, called with and giving ctypes types; `as_written` keeps
    the optimiser from it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(ir)
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    if not as_written:
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
        builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _engines.append(engine)
    return ctypes.CFUNCTYPE(result, *arguments)(engine.get_function_address(name))
