"""What a machine is measured by, as plain data: single instructions, and the inner loops of kernels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from addercost.arithmetic import Arithmetic
from addercost.hardware.vocabulary import Form

_OPERAND = re.compile(r"\{(\w+)(?::(\w))?\}")


@dataclass(frozen=True, slots=True)
class Probe:
    """One instruction to measure, as a template of the machine's assembler.

    `{d}` is written, `{a}` is the chain's previous result, `{y}` and `{z}` are loop-invariant. accumulates:
    the instruction reads `{d}` too, so the chain runs through it. element: the LLVM type of a lane. register:
    the constraint on vector registers in LLVM's inline assembly. text: as tables show the instruction,
    destination first and registers by their kind.
    """

    op: str
    form: Form
    bits: int
    lanes: int
    assembly: str
    element: str
    text: str
    accumulates: bool = False
    register: str = "v"

    @property
    def general(self) -> bool:
        """Whether it works on general registers."""
        return self.form is Form.SCALAR and self.element.startswith("i")


@dataclass(frozen=True, slots=True)
class HostLoop:
    """The inner loop of a register-blocked kernel: what combines one vector of inputs and one of weights.

    steps: instructions in order, in which `{s}` is a sum, `{x}` the inputs, `{w}` the weights, `{t}` and
    `{u}` are temporary, and `{c0}`, `{c1}`, … the constants. constants: words of 32 bits, which are repeated.
    sites: input-weight pairs that the steps combine. inputs: vectors of inputs that stay in registers; two
    vectors of weights are loaded for all of them. values, weights: what they are (`loops.operands`).
    """

    name: str
    arithmetic: Arithmetic
    number_format: str
    bits: int
    sites: int
    steps: tuple[str, ...]
    inputs: int
    constants: tuple[int | tuple[int, ...], ...] = ()
    values: str = "fp32"
    weights: str = "fp32"
    register: str = "v"
    destination_first: bool = False

    @property
    def text(self) -> str:
        """The instructions by name, as tables show them."""
        return ", ".join(step.partition(" ")[0] for step in self.steps)

    def names(self, step: str) -> tuple[str, tuple[str, ...]]:
        """What a step writes, and what else it names."""
        found = [name for name, _ in _OPERAND.findall(step)]
        written = found[0 if self.destination_first else -1]
        return written, tuple(dict.fromkeys(name for name in found if name != written))


def assembled(template: str, places: Mapping[str, int]) -> str:
    """A template with LLVM's number of each operand, and the letter that asks for a narrow register."""

    def place(match: re.Match[str]) -> str:
        name, letter = match.groups()
        return f"${{{places[name]}:{letter}}}" if letter else f"${places[name]}"

    return _OPERAND.sub(place, template)
