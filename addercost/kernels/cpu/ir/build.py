"""What the loops are built from, on top of llvmlite's `IRBuilder`: functions, counted loops, addresses.

A builder is always called `code`. It appends instructions to the function that is being written.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import llvmlite.ir as ir

from addercost.kernels.cpu.ir.native import NativeCode

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
FLOAT, POINTER, VOID = ir.FloatType(), ir.PointerType(), ir.VoidType()

Fields = TypeVar("Fields")
"""A NamedTuple of numbers: Python's own where a function is called, LLVM values inside the function."""

_CTYPES = {
    str(VOID): None,
    str(POINTER): ctypes.c_void_p,
    str(I32): ctypes.c_int32,
    str(I64): ctypes.c_int64,
    str(FLOAT): ctypes.c_float,
}


def function(name: str, *arguments: Any, result: Any = VOID) -> Any:
    """A builder at the beginning of a new function with these argument types. LLVM may assume that no two of
    its pointers refer to the same memory."""
    module = ir.Module()
    # With an empty triple, LLVM compiles for the host.
    module.triple = ""
    made = ir.Function(module, ir.FunctionType(result, arguments), name)
    for argument in made.args:
        if argument.type == POINTER:
            argument.add_attribute("noalias")
    return ir.IRBuilder(made.append_basic_block("entry"))


def compiled(code: Any, optimised: bool = True) -> Any:
    """The finished function, compiled, as a ctypes callable."""
    made = code.function
    signature = [_CTYPES[str(kind)] for kind in (made.function_type.return_type, *made.function_type.args)]
    return NativeCode(str(made.module), optimised).function(made.name, *signature)


def as_array(numbers: tuple[int, ...]) -> Any:
    """The numbers as an array of 64-bit integers, for a function that reads them by `loaded`."""
    return (ctypes.c_int64 * len(numbers))(*numbers)


def loaded(code: Any, fields: type[Fields], pointer: Any) -> Fields:
    """The fields of a NamedTuple, as values read from the array at `pointer`."""
    names: Any = fields
    places = (code.gep(pointer, [I64(index)], source_etype=I64) for index in range(len(names._fields)))
    return fields(*(code.load(place, typ=I64) for place in places))


@contextmanager
def counted(code: Any, count: Any, step: int = 1) -> Iterator[Any]:
    """A loop around the code that is built inside the `with` block. Its index counts from 0 by `step` and
    stays below `count`.
    """
    before, head, body = code.block, code.append_basic_block("head"), code.append_basic_block("body")
    code.branch(head)
    code.position_at_end(head)
    index = code.phi(I64, "index")
    index.add_incoming(I64(0), before)
    more = code.icmp_signed("<", index, count)
    code.position_at_end(body)
    yield index
    tail, end = code.append_basic_block("tail"), code.append_basic_block("end")
    code.branch(tail)
    code.position_at_end(tail)
    index.add_incoming(code.add(index, I64(step)), tail)
    code.branch(head)
    code.position_at_end(head)
    code.cbranch(more, body, end)
    code.position_at_end(end)


def at(code: Any, element: Any, start: Any, *terms: tuple[Any, Any]) -> Any:
    """The address `start` + Σ index · stride, counted in elements of this type. Each index and stride is an
    LLVM value or a Python number."""
    for index, stride in terms:
        if isinstance(index, int) and isinstance(stride, int):
            by = I64(index * stride)
        elif isinstance(stride, int) and stride == 1:
            by = index
        else:
            by = code.mul(_value(index), _value(stride))
        start = code.gep(start, [by], source_etype=element)
    return start


def _value(number: Any) -> Any:
    return I64(number) if isinstance(number, int) else number


def least(code: Any, a: Any, b: Any) -> Any:
    """The smaller of two signed 64-bit integers."""
    return call(code, "llvm.smin.i64", I64, a, b)


def call(code: Any, name: str, result: Any, *arguments: Any) -> Any:
    """A call of an LLVM intrinsic. It is declared in the module if it is not there yet."""
    module = code.module
    intrinsic = module.globals.get(name)
    if intrinsic is None:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        intrinsic = ir.Function(module, kind, name)
    return code.call(intrinsic, arguments)


def prefetch(code: Any, place: Any) -> None:
    """Asks memory for the line at this address, which may lie behind the end of its array. Nothing waits."""
    call(code, "llvm.prefetch.p0", VOID, place, I32(0), I32(3), I32(1))


class Carried:
    """Values that a loop passes from each round to the next. `values`: those of this round. `following`:
    those of the next.
    """

    def __init__(self, index: Any, values: list[Any]) -> None:
        self.index, self.values = index, values
        self.following: list[Any] = []


@contextmanager
def repeated(code: Any, count: Any, *starts: Any) -> Iterator[Carried]:
    """A loop of `count` rounds, at least one. Its values begin as `starts`, and the `with` block must set
    `following`. After the loop, `following` is what the last round computed."""
    before, body = code.block, code.append_basic_block("round")
    code.branch(body)
    code.position_at_end(body)
    carried = Carried(code.phi(I64), [code.phi(start.type) for start in starts])
    yield carried
    following = code.add(carried.index, I64(1))
    phis, after = (carried.index, *carried.values), (following, *carried.following)
    for phi, start, value in zip(phis, (I64(0), *starts), after, strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(value, code.block)
    end = code.append_basic_block("end")
    code.cbranch(code.icmp_signed("<", following, count), body, end)
    code.position_at_end(end)
