"""Transposition in registers, as Halide stages of interleaved vectors."""

from __future__ import annotations

from typing import Any

import halide as hl


def interleaved(rows: Any, at: tuple[Any, ...], number: int, length: int) -> list[Any]:
    """The stages that transpose `number` vectors of `length` elements, where `number` is a power of two.

    The first stage is `rows` itself, which has the vectors one after the other in its first axis. Each
    further stage interleaves the first half of the stage before it with the second half.
    """
    m, rest = at[0], at[1:]
    stages = [rows]
    for _ in range(1, number.bit_length()):
        stage = hl.Func(f"interleaved{len(stages)}")
        stage[at] = stages[-1][(m // 2 + m % 2 * (number * length // 2), *rest)]
        stages.append(stage)
    return stages


def schedule_interleaved(stages: list[Any], m: Any, number: int, length: int) -> None:
    """Schedules every stage as a few whole vectors, which LLVM keeps in registers. The caller decides in
    which loop a stage is computed."""
    half, pair = hl.Var("half"), hl.Var("pair")
    for stage in stages:
        stage.store_in(hl.MemoryType.Stack).bound(m, 0, number * length)
        if stage is stages[0]:
            stage.split(m, pair, m, length).vectorize(m).unroll(pair)
        else:
            # Two stores of every second element each become one store of an interleaved vector.
            stage.split(m, m, half, 2).split(m, pair, m, length)
            stage.reorder(m, half, pair).vectorize(m).unroll(half).unroll(pair)
