"""Which ports each instruction can use, from llvm-mca's pressure per resource over many iterations.

An instruction that runs alone spreads evenly over the ports it may use. Ports under equal pressure p
therefore form one group of alternatives that together carry p × (number of ports) cycles of work. Written
`A|B` for one cycle of work on either, `3*A` for three on one, groups joined by `+`.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from dataclasses import dataclass

ITERATIONS = 2520  # divisible by 1 to 10, so that equal shares are exact


@dataclass(frozen=True)
class PortSets:
    version: str
    core: str
    issue_width_uops: int
    by_instruction: dict[str, list[tuple[float, tuple[str, ...]]]]

    def ports(self, row: dict[str, str], dropped: Counter[str]) -> str:
        """The ports of one row of cycles.csv, or "" where they are unknown or contradict its throughput."""
        groups = self.by_instruction.get(row["instruction"], [])
        if not groups:
            return ""
        bound = max(work / len(ports) for work, ports in groups)
        throughput = float(row["recip_throughput_cycles"])
        # The two versions of the model must agree, or the ports belong to another model than the throughput.
        if bound > throughput * 1.02:
            dropped["port sets that contradict the row's reciprocal throughput"] += 1
            return ""
        return "+".join(_group(work, ports) for work, ports in groups)


def _group(work: float, ports: tuple[str, ...]) -> str:
    times = "" if abs(work - 1) < 1e-6 else f"{round(work, 3):g}*"
    return times + "|".join(ports)


def read_port_sets(llvm_mca: str, rows: list[dict[str, str]]) -> PortSets | None:
    """The port sets of one CPU's instructions, or None where this llvm-mca has no model of the core."""
    via = next((row["source"] for row in rows if row["source"].startswith("LLVM")), "")
    match = re.search(r"-mtriple=(\S+) -mcpu=(\S+)", via)
    if not match:
        return None
    triple, core = match.groups()
    command = [llvm_mca, f"-mtriple={triple}", f"-mcpu={core}", f"-iterations={ITERATIONS}", "--json"]
    if triple.startswith("aarch64"):
        command.append("-mattr=+sve")
    texts = sorted({row["instruction"] for row in rows if row["source"].startswith("LLVM")})
    found: dict[str, list[tuple[float, tuple[str, ...]]]] = {}
    issue_width = 0
    # An instruction that this version cannot assemble makes all fail; then each runs on its own.
    for batch in [texts] if _run(command, triple, texts) else [[text] for text in texts]:
        answer = _run(command, triple, batch)
        for text, region in zip(batch, answer.get("CodeRegions", ()), strict=False):
            found[text] = _groups(region, answer["TargetInfo"]["Resources"])
            issue_width = region["SummaryView"]["DispatchWidth"]
    if not found:
        return None
    version = subprocess.run([llvm_mca, "--version"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"LLVM version (\S+)", version)
    return PortSets(f"LLVM {number[1] if number else '?'}", core, issue_width, found)


def _run(command: list[str], triple: str, texts: list[str]) -> dict:  # type: ignore[type-arg]
    intel = ".intel_syntax noprefix\n" if triple.startswith("x86") else ""
    thumb = ".syntax unified\n" if triple.startswith(("thumb", "arm")) else ""
    mark = "@" if triple.startswith(("thumb", "arm")) else ("//" if triple.startswith("aarch64") else "#")
    code = intel + thumb
    for i, text in enumerate(texts):
        width = re.match(r"(e\d+) (.*)", text)
        setting = f"vsetvli zero, a0, {width[1]}, m1, ta, ma\n" if width else ""
        lmul = f"{mark} LLVM-MCA-RISCV-LMUL M1\n" if width else ""
        body = width[2] if width else text
        code += f"{setting}{mark} LLVM-MCA-BEGIN i{i}\n{lmul}{body}\n{mark} LLVM-MCA-END i{i}\n"
    done = subprocess.run(command, input=code, capture_output=True, text=True)
    # For an unknown core llvm-mca prints a warning and uses a generic model, which has other ports.
    if done.returncode or "is not a recognized processor" in done.stderr or not done.stdout.startswith("{"):
        return {}
    answer = json.loads(done.stdout)
    return answer if len(answer["CodeRegions"]) == len(texts) else {}


def _groups(region: dict, resources: list[str]) -> list[tuple[float, tuple[str, ...]]]:  # type: ignore[type-arg]
    by_pressure: dict[float, dict[str, float]] = {}
    for entry in region["ResourcePressureView"]["ResourcePressureInfo"]:
        index = entry["ResourceIndex"]
        # The row after the instructions repeats their sum.
        if entry["InstructionIndex"] == 0 and index < len(resources):
            # The names of one resource's units differ in a single byte.
            name = re.sub("[\0-\x1f]", lambda unit: str(ord(unit[0])), resources[index]).replace(" ", "")
            usage = entry["ResourceUsage"]
            # The simulation ends within a round, so equal shares differ in the third digit.
            by_pressure.setdefault(round(usage, 2), {})[name] = usage
    return [
        (round(sum(usages.values()), 2), tuple(sorted(usages)))
        for pressure, usages in sorted(by_pressure.items(), reverse=True)
        if pressure
    ]
