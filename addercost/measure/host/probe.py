"""The things that are measured on a machine, as plain data: single instructions, and the inner loops of
kernels.
"""

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

    `{d}` is written, `{a}` is the chain's previous result, `{y}` and `{z}` do not change in the loop.
    accumulates: the instruction also reads `{d}`, so the chain runs through it. element: the LLVM type of a
    lane. register: the constraint on vector registers in LLVM's inline assembly. text: the instruction as
    tables show it, with the destination first and the kinds of registers in place of their names.
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
        """Whether the instruction works on general registers."""
        return self.form is Form.SCALAR and self.element.startswith("i")


@dataclass(frozen=True, slots=True)
class HostLoop:
    """The inner loop of a register-blocked kernel: the instructions that combine a vector of inputs and one
    of weights.

    steps: instructions in order. In them `{s}` is a sum, `{x}` the inputs, `{w}` the weights, `{t}` and `{u}`
    are temporaries, and `{c0}`, `{c1}`, … constants. constants: words of 32 bits, each repeated to fill a
    register. sites: how many pairs of input and weight the steps combine. inputs: how many vectors of inputs
    stay in registers; two vectors of weights are loaded for all of them. values, weights: the kinds of inputs
    and weights (`loops.operands`).
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
        """(the operand that a step writes, the other operands that it names)."""
        found = [name for name, _ in _OPERAND.findall(step)]
        written = found[0 if self.destination_first else -1]
        return written, tuple(dict.fromkeys(name for name in found if name != written))


def assembled(template: str, places: Mapping[str, int]) -> str:
    """The template with LLVM's number for each operand, and with the modifier for a narrow register where it
    is needed.
    """

    def place(match: re.Match[str]) -> str:
        name, letter = match.groups()
        return f"${{{places[name]}:{letter}}}" if letter else f"${places[name]}"

    return _OPERAND.sub(place, template)
