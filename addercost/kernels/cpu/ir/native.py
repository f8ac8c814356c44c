"""Functions written in LLVM IR, compiled for this machine."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
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


def counted_loop(name: str, count: str, body: str, step: int = 1) -> str:
    """`body` for %name from 0 below `count`."""
    return f"""
        br label %{name}.enter
        {name}.enter:
        br label %{name}.head
        {name}.head:
        %{name} = phi i64 [ 0, %{name}.enter ], [ %{name}.next, %{name}.tail ]
        %{name}.more = icmp slt i64 %{name}, {count}
        br i1 %{name}.more, label %{name}.body, label %{name}.exit
        {name}.body:
        {body}
        br label %{name}.tail
        {name}.tail:
        %{name}.next = add i64 %{name}, {step}
        br label %{name}.head
        {name}.exit:"""


def loaded(names: Sequence[str]) -> str:
    """Each name as an i64 from %numbers, where they lie in this order."""
    return "\n".join(
        f"%{name}.at = getelementptr i64, ptr %numbers, i64 {index}\n%{name} = load i64, ptr %{name}.at"
        for index, name in enumerate(names)
    )


def at(name: str, start: str, *terms: str, element: str = "i32") -> str:
    """%name = start + Σ index · stride, of elements of that type."""
    lines, last = [], start
    for index, term in enumerate(terms):
        here = f"%{name}" if index == len(terms) - 1 else f"%{name}.{index}"
        lines.append(f"%{name}.by{index} = mul i64 {', '.join(term.split('*'))}")
        lines.append(f"{here} = getelementptr {element}, ptr {last}, i64 %{name}.by{index}")
        last = here
    return "\n".join(lines)


def splat_of(name: str, element: str, value: str, lanes: int) -> str:
    """%name, a vector with the value in every lane."""
    vector = f"<{lanes} x {element}>"
    return f"""%{name}.in = insertelement {vector} poison, {element} {value}, i64 0
        %{name} = shufflevector {vector} %{name}.in, {vector} poison, <{lanes} x i32> zeroinitializer"""


def splat(name: str, value: str, lanes: int, before: str = "") -> str:
    return f"{before}\n{splat_of(name, 'i32', value, lanes)}"


def lanes_below(name: str, limit: str, lanes: int) -> str:
    """A mask of the lanes whose number is below an i64."""
    narrow = f"%{name}.limit = trunc i64 {limit} to i32"
    vector = f"<{lanes} x i32>"
    return f"""{splat(f"{name}.all", f"%{name}.limit", lanes, narrow)}
        %{name} = icmp slt {vector} {iota(lanes)}, %{name}.all"""


def iota(lanes: int, element: str = "i32") -> str:
    """The lanes' numbers."""
    return "<" + ", ".join(f"{element} {lane}" for lane in range(lanes)) + ">"
