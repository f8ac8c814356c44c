"""Measures how many sites a second one core computes in a bare inner loop, which computes sites and nothing
else.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from functools import cache

from addercost.hardware.this_machine import instruction_set
from addercost.measure.host.aarch64_loops import aarch64_loops
from addercost.measure.host.amx_loops import (
    CONFIGURATION_OFFSET,
    PRODUCTS,
    TileLoop,
    amx_loops,
    tile_configuration,
    tile_loop_ir,
    tiles_permitted,
)
from addercost.measure.host.chains import Compiled
from addercost.measure.host.loops import OPERAND_BYTES, inner_loop_ir, operands, vectors_of
from addercost.measure.host.probe import HostLoop
from addercost.measure.host.x86_loops import x86_loops

ROUNDS = 2000
LINE_BYTES = 64


def host_loops(features: Set[str]) -> list[HostLoop | TileLoop]:
    """The inner loops that this machine can run. Those on its widest registers come first."""
    isa = instruction_set()
    if isa == "aarch64":
        return list(aarch64_loops(features))
    if isa != "x86-64":
        return []
    tiles = list(amx_loops(features))
    return [*x86_loops(features), *(tiles if tiles and tiles_permitted() else [])]


def loop_sites_per_second(name: str, seconds: float = 0.05) -> float:
    """Sites a second of the arithmetic of this name ("mac", "adder", "adder_u8", …) on the widest registers.

    The result is the best of several runs, which take `seconds` in all, because it is used as a limit. Raises
    KeyError for an arithmetic that this machine cannot run, ImportError without llvmlite.
    """
    loops = _loops_named(name)
    return max(bare_loop_sites_per_second(loop, seconds / len(loops)) for loop in loops)


@cache
def _loops_named(name: str) -> tuple[HostLoop | TileLoop, ...]:
    """The loops of this name's arithmetic and number format, such as "xnor" and "xnor_by_bytes". Where a
    processor lacks the instructions of one loop, another is its limit.
    """
    from addercost.kernels.cpu.ir.native import host_features

    named = [loop for loop in host_loops(host_features()) if f"{loop.name}_".startswith(f"{name}_")]
    if not named:
        raise KeyError(name)
    first = min(named, key=lambda loop: len(loop.name))
    same = [loop for loop in named if loop.number_format == first.number_format]
    return tuple(loop for loop in same if loop.bits == same[0].bits)


def bare_loop_sites_per_second(loop: HostLoop | TileLoop, seconds: float = 0.05) -> float:
    """The same as `loop_sites_per_second`, for a given loop that this machine can run."""
    run = _compiled(loop)
    sites = ROUNDS * steps_of(loop) * loop.sites
    with loop_operands(loop) as (inputs, weights):
        best, end = float("inf"), time.perf_counter() + seconds
        while time.perf_counter() < end or best == float("inf"):
            start = time.perf_counter()
            run(inputs, weights, ROUNDS)
            best = min(best, time.perf_counter() - start)
    return sites / best


def host_loop_ir(symbol: str, loop: HostLoop | TileLoop) -> str:
    """LLVM IR of `void symbol(ptr inputs, ptr weights, i64 n)`: n rounds of `steps_of(loop)` steps."""
    return tile_loop_ir(symbol, loop) if isinstance(loop, TileLoop) else inner_loop_ir(symbol, loop)


def steps_of(loop: HostLoop | TileLoop) -> int:
    """The number of steps in a round. Each step computes `loop.sites` sites."""
    return PRODUCTS if isinstance(loop, TileLoop) else vectors_of(loop)


@contextmanager
def loop_operands(loop: HostLoop | TileLoop) -> Iterator[tuple[int, int]]:
    """The addresses of a loop's inputs and weights, each at the start of a cache line."""
    inputs, weights = operands(loop.values, loop.weights)
    if isinstance(loop, TileLoop):
        configuration = tile_configuration()
        end = CONFIGURATION_OFFSET + len(configuration)
        inputs = inputs[:CONFIGURATION_OFFSET] + configuration + inputs[end:]
    buffers = [ctypes.create_string_buffer(OPERAND_BYTES + LINE_BYTES) for _ in range(2)]
    places = [-(-ctypes.addressof(buffer) // LINE_BYTES) * LINE_BYTES for buffer in buffers]
    for place, content in zip(places, (inputs, weights), strict=True):
        ctypes.memmove(place, content, len(content))
    yield places[0], places[1]
    # The memory is valid as long as the buffers exist.
    del buffers


@cache
def _compiled(loop: HostLoop | TileLoop) -> Callable[[int, int, int], None]:
    return Compiled(host_loop_ir("inner", loop)).inner_loop("inner")
