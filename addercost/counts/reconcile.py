"""The numbers that other counting tools report for a trace, and how each differs from the MAC sites.

A tool's rule describes what the tool does on a CPU in evaluation mode, without recording gradients. Tests run
the tools themselves for comparison. A trace does not contain all that a tool sees. Where a tool's number
depends on more, it is not modelled, and the result says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from addercost.counts.counting_tools import flop_counter, patched, ptflops, thop
from addercost.counts.counting_tools.fvcore import fvcore
from addercost.counts.counting_tools.seen import Differences, NotModelled, Seen, ToolRule, seen_calls
from addercost.counts.counting_tools.torchinfo import torchinfo
from addercost.trace.record import Trace


@dataclass(frozen=True, slots=True)
class ToolCount:
    """One tool's number, and why it differs from the MAC sites.

    reported: the number that it prints, in `unit`; None if it is not modelled, for the reason `unknown`.
    per_site: 1 for tools that count MACs, 2 for tools that count FLOPs. differences: MACs by cause, so that
    `reported / per_site` = MAC sites + their sum.
    """

    tool: str
    unit: str
    per_site: int
    reported: int | None
    mac_sites: int
    differences: Mapping[str, int]
    unknown: str = ""


def reconcile(trace: Trace) -> tuple[ToolCount, ...]:
    """One entry for each of `TOOLS`. Operators that no rule counts are left out.

    The tools read torch's modules, so none has a number for the trace of a file that is not torch's (ONNX).
    """
    seen = list(seen_calls(trace))
    sites = sum(one.sites for one in seen)
    if "torch" not in trace.versions:
        return tuple(
            ToolCount(tool, unit, per_site, None, sites, {}, "a file that it does not read")
            for tool, (unit, per_site, _) in TOOLS.items()
        )
    return tuple(
        _tool_count(tool, unit, per_site, rule, seen, sites) for tool, (unit, per_site, rule) in TOOLS.items()
    )


def _tool_count(
    tool: str, unit: str, per_site: int, rule: ToolRule, seen: list[Seen], sites: int
) -> ToolCount:
    differences: dict[str, int] = {}
    try:
        for one in seen:
            for cause, amount in rule(one):
                if amount:
                    differences[cause] = differences.get(cause, 0) + amount
    except NotModelled as reason:
        return ToolCount(tool, unit, per_site, None, sites, {}, str(reason))
    reported = per_site * (sites + sum(differences.values()))
    return ToolCount(tool, unit, per_site, reported, sites, {k: n for k, n in differences.items() if n})


def _sites(one: Seen) -> Differences:
    return ()


TOOLS: Mapping[str, tuple[str, int, ToolRule]] = {
    "thop, April 2020 to June 2022": ("MACs", 1, thop.old),
    "thop 0.1.1": ("MACs", 1, thop.new),
    "fvcore 0.1.5, timm": ("FLOPs", 1, fvcore),
    "ptflops 0.7": ("MACs", 1, ptflops.pytorch),
    "ptflops 0.7, aten": ("MACs", 1, ptflops.aten),
    "torchinfo 1.8": ("mult-adds", 1, torchinfo),
    "calflops 0.3": ("MACs", 1, patched.calflops),
    "DeepSpeed 0.19": ("MACs", 1, patched.deepspeed),
    "torch FlopCounterMode on the CPU": ("FLOPs", 2, flop_counter.on_cpu),
    "torch FlopCounterMode on meta": ("FLOPs", 2, flop_counter.on_meta),
    "torchvision _ops": ("GFLOPS", 1, _sites),
}
"""By the tool's name: its word for the unit, units for a MAC, and the function that gives the differences of
one call.
"""
