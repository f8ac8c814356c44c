"""Loops that mix two instructions. These do not wait for each other, and each kind takes about half of the
time.

An instruction that adds to the register that it writes runs on several registers. Any other instruction reads
only registers that no instruction writes, so its rate depends on its units alone.
"""

from __future__ import annotations

from addercost.measure.host.chains import operand_lines, value_type
from addercost.measure.host.probe import Probe, assembled

BODY = 48
"""The approximate number of instructions in a round of a loop."""

MOST_CHAINS = 10


def times_of(first_cycles: float, second_cycles: float) -> tuple[int, int]:
    """How many instructions of each kind a round has, so that both kinds alone would take about equally
    long.
    """
    ratio = first_cycles / second_cycles
    first = max(1, round(BODY / (1 + ratio)))
    return first, max(1, round(first * ratio))


def mix_ir(
    symbol: str, probes: tuple[Probe, Probe], times: tuple[int, int], chains: int = MOST_CHAINS
) -> str:
    """LLVM IR of `void symbol(i64 n)`: n rounds with the given numbers of instructions of each kind, evenly
    interleaved.
    """
    lines = [f"define void @{symbol}(i64 %n) {{", "entry:"]
    for side, probe in enumerate(probes):
        lines += operand_lines(probe, f"%o{side}_")
    lines += ["  br label %loop", "loop:", "  %i = phi i64 [0, %entry], [%next, %loop]"]
    body: list[str] = []
    phis: list[str] = []
    total = sum(times)
    done = [0, 0]
    last: list[dict[int, str]] = [{}, {}]
    for _ in range(total):
        # The kind of which the smaller share has been written comes next.
        side = 0 if done[0] * times[1] <= done[1] * times[0] and done[0] < times[0] else 1
        if done[side] >= times[side]:
            side = 1 - side
        probe, number = probes[side], done[side]
        done[side] += 1
        kind, start = value_type(probe)
        operands = f"{kind} %o{side}_0, {kind} %o{side}_1"
        register = "r" if probe.general else probe.register
        result = f"%r{side}_{number}"
        if probe.accumulates:
            chain = number % min(chains, times[side])
            given = last[side].get(chain, f"%s{side}_{chain}")
            last[side][chain] = result
            text = assembled(probe.assembly, {"d": 0, "a": 1, "y": 2, "z": 3})
            constraints = f"={register},0,{register},{register},~{{flags}}"
            arguments = f"{kind} {given}, {operands}"
        else:
            text = assembled(probe.assembly, {"d": 0, "y": 1, "a": 2, "z": 2})
            constraints = f"={register},{register},{register},~{{flags}}"
            arguments = operands
        body.append(f'  {result} = call {kind} asm sideeffect "{text}", "{constraints}"({arguments})')
    for side, probe in enumerate(probes):
        kind, start = value_type(probe)
        for chain, result in last[side].items():
            phis.append(f"  %s{side}_{chain} = phi {kind} [{start}, %entry], [{result}, %loop]")
    lines += [*phis, *body, "  %next = add i64 %i, 1", "  %more = icmp ult i64 %next, %n"]
    lines += ["  br i1 %more, label %loop, label %done", "done:", "  ret void", "}"]
    return "\n".join(lines) + "\n"
