"""Running an inner loop made of a table's own assembly through llvm-mca."""

import re
import shutil
import subprocess
from functools import cache

import pytest

from addercost.cost.sequences import SiteSequence
from addercost.hardware import Cpu

UNROLL = 24


OLDEST, NEWEST = 19, 40
"""Versions that are looked for. Before LLVM 19 many models differ from those the tables come from."""


@cache
def find_llvm_mca() -> str:
    """The newest llvm-mca on the path. Without one these tests fail: the project's set-up installs it."""
    names = [*(f"llvm-mca-{version}" for version in range(NEWEST, OLDEST - 1, -1)), "llvm-mca"]
    for path in filter(None, map(shutil.which, names)):
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"version (\d+)", said)
        if found and int(found[1]) >= OLDEST:
            return path
    pytest.fail(f"no llvm-mca of version {OLDEST} or later: apt-get install llvm-22", pytrace=False)


def triple_and_core(cpu: Cpu) -> tuple[str, str] | None:
    """What the table's scheduling-model source was asked about."""
    for source in cpu.sources.values():
        match = re.search(r"-mtriple=(\S+) -mcpu=(\S+)", source.title)
        if match:
            return match[1], match[2]
    return None


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


def simulated_cycles(cpu: Cpu, sequence: SiteSequence) -> float:
    """Cycles a step takes in steady state."""
    triple, core = triple_and_core(cpu) or ("", "")
    intel = [".intel_syntax noprefix"] if triple.startswith("x86") else []
    code = "\n".join(intel + assembly(sequence)) + "\n"
    command = [find_llvm_mca(), f"-mtriple={triple}", f"-mcpu={core}"]
    if triple.startswith("aarch64"):
        command.append("-mattr=+sve")

    def cycles(iterations: int) -> int:
        done = subprocess.run(
            [*command, f"-iterations={iterations}"], input=code, capture_output=True, text=True
        )
        match = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
        assert match and done.returncode == 0, done.stderr
        return int(match[1])

    # The difference of two lengths leaves filling and draining the pipeline out.
    return (cycles(120) - cycles(40)) / 80 / UNROLL
