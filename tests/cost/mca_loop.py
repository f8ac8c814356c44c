"""Running an inner loop made of a table's own assembly through llvm-mca."""

import re
import shutil
import subprocess
from functools import cache

from addercost.cost.sequences import SiteSequence
from addercost.hardware import Cpu

UNROLL = 24


@cache
def find_llvm_mca() -> str | None:
    """The newest llvm-mca on the path."""
    names = [*(f"llvm-mca-{version}" for version in range(30, 13, -1)), "llvm-mca"]
    return next((path for path in map(shutil.which, names) if path), None)


def triple_and_core(cpu: Cpu) -> tuple[str, str] | None:
    """What the table's scheduling-model source was asked about."""
    for source in cpu.sources.values():
        match = re.search(r"-mtriple=(\S+) -mcpu=(\S+)", source.title)
        if match:
            return match[1], match[2]
    return None


@cache
def known_cores(triple: str) -> frozenset[str]:
    done = subprocess.run(
        [find_llvm_mca() or "", f"-mtriple={triple}", "-mcpu=help"], input="", capture_output=True, text=True
    )
    return frozenset(re.findall(r"^\s+(\S+)\s+- Select", done.stderr + done.stdout, re.MULTILINE))


def assembly(sequence: SiteSequence) -> list[str]:
    """The sequence unrolled, every result in a register of its own as long as there are some.

    The tables write to register 0 (or a) and read 1 and 2, so renaming 0 makes the copies independent.
    """
    # Accumulating instructions read what they write, so there must be more registers than latency.
    arm = re.search(r"\b[vzwx]0\b", sequence.text)
    vectors = range(3, 32) if arm or "zmm" in sequence.text else range(3, 16)
    generals = range(3, 29) if arm else range(8, 16)
    lines = []
    texts = [step.instruction.text for step in sequence.steps for _ in range(step.times)]
    for i, text in enumerate(texts * UNROLL):
        vector, general = vectors[i % len(vectors)], generals[i % len(generals)]
        text = re.sub(r"\b([xyz]mm|[vzsdhq])0\b", rf"\g<1>{vector}", text)
        text = re.sub(r"\beax\b", f"r{general}d", text)
        text = re.sub(r"\brax\b", f"r{general}", text)
        text = re.sub(r"\b([wx])0\b", rf"\g<1>{general}", text)
        lines.append(text)
    return lines


def simulated_cycles(cpu: Cpu, sequence: SiteSequence) -> float | None:
    """Cycles a step takes in steady state, or None where llvm-mca cannot assemble it."""
    triple, core = triple_and_core(cpu) or ("", "")
    intel = [".intel_syntax noprefix"] if triple.startswith("x86") else []
    code = "\n".join(intel + assembly(sequence)) + "\n"
    command = [find_llvm_mca() or "", f"-mtriple={triple}", f"-mcpu={core}"]
    if triple.startswith("aarch64"):
        command.append("-mattr=+sve")

    def cycles(iterations: int) -> int | None:
        done = subprocess.run(
            [*command, f"-iterations={iterations}"], input=code, capture_output=True, text=True
        )
        match = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
        return int(match[1]) if match and done.returncode == 0 else None

    # The difference of two lengths leaves filling and draining the pipeline out.
    short, long = cycles(40), cycles(120)
    return None if short is None or long is None else (long - short) / 80 / UNROLL
