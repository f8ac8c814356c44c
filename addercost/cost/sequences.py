"""The instructions of one inner-loop step of each arithmetic, chosen among what a target offers.

A step combines inputs and weights that are in registers and adds the results to accumulators in registers.
This is the limit that a register-blocked kernel approaches. Loads, widening at the end of a loop and the
final negation are left out. The recipes give several sequences, of which the fastest by the limits of
`bounds` is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from addercost.arithmetic import Arithmetic
from addercost.cost.bounds import all_bounds, binding
from addercost.cost.charges import VECTOR_FORMS, WIDENED, best_per_width
from addercost.cost.target import Target
from addercost.counts.arithmetics import DEFINITIONS, recipes
from addercost.counts.arithmetics.adder import SIGNED_BYTES
from addercost.counts.arithmetics.definition import Recipe
from addercost.hardware.schema.instruction import Instruction
from addercost.hardware.vocabulary import Form


@dataclass(frozen=True, slots=True)
class Step:
    instruction: Instruction
    times: int = 1


@dataclass(frozen=True, slots=True)
class SiteSequence:
    """Instructions that combine `sites` pairs of input and weight when all `steps` are executed once. name:
    the recipe's.
    """

    name: str
    steps: tuple[Step, ...]
    sites: int
    assumption: str = ""

    @property
    def text(self) -> str:
        """`2 x vaddps zmm0, zmm1, zmm2; …`: what `hardware show` prints."""
        return "; ".join((f"{s.times} x " if s.times > 1 else "") + s.instruction.text for s in self.steps)

    @property
    def on_matrix_unit(self) -> bool:
        return any(step.instruction.form is Form.MATRIX for step in self.steps)

    @property
    def executions(self) -> list[tuple[Instruction, int]]:
        """Each instruction and how often it is executed, in the form that `bounds` takes."""
        return [(step.instruction, step.times) for step in self.steps]


def site_sequence(
    target: Target,
    arithmetic: Arithmetic,
    number_format: str = "fp32",
    scalar: bool = False,
    matrix: bool = True,
) -> SiteSequence | None:
    """The fastest inner loop that was measured on `target`. Where none was measured, the fastest sequence for
    which the target has figures, or None.

    XNOR works on packed words whatever the number format. scalar: only scalar registers may be used. matrix:
    a matrix unit may be used.
    """
    for wide in WIDENED.get(number_format, ()):
        found = site_sequence(target, arithmetic, wide, scalar, matrix)
        if found is not None:
            notes = [f"widened to {wide} first", *([found.assumption] if found.assumption else [])]
            return replace(found, assumption="; ".join(notes))
    measured = None if scalar else _measured(target, arithmetic, number_format, matrix)
    if measured is not None:
        return measured
    fastest, chosen = _SLOWEST, None
    for sequence in candidate_sequences(target, arithmetic, number_format, scalar):
        if sequence.on_matrix_unit and not matrix:
            continue
        alone = [times * row.reciprocal_throughput_cycles for row, times in sequence.executions]
        # At equal speed, the sequence that leaves most room for other work; then the recipe listed first.
        least = (max(alone) / sequence.sites, sum(alone) / sequence.sites)
        if least < fastest:
            bound = binding(all_bounds(target, sequence.executions)).cycles / sequence.sites
            if (bound, least[1]) < fastest:
                fastest, chosen = (bound, least[1]), sequence
    return chosen


_SLOWEST = (float("inf"), float("inf"))


def candidate_sequences(
    target: Target, arithmetic: Arithmetic, number_format: str = "fp32", scalar: bool = False
) -> Iterator[SiteSequence]:
    """The sequences of every recipe, in every form and width in which the target has all its instructions."""
    for recipe in recipes(arithmetic, number_format):
        yield from _instances(target, recipe, scalar)


_LOOP_FORMATS: dict[tuple[Arithmetic, str], tuple[str, str]] = {
    (Arithmetic.MAC, "uint8"): ("int8", ""),
    (Arithmetic.ADDER, "int8"): ("uint8", SIGNED_BYTES),
    (Arithmetic.SHIFT, "int8"): ("int32", "32-bit lanes"),
    (Arithmetic.SHIFT, "uint8"): ("int32", "32-bit lanes"),
    (Arithmetic.SHIFT, "int16"): ("int32", "32-bit lanes"),
}
"""Number formats that run in the loop of another format, and what that assumes."""


def _measured(
    target: Target, arithmetic: Arithmetic, number_format: str, matrix: bool
) -> SiteSequence | None:
    """The fastest measured loop, whatever its width and instructions."""
    runs_as = DEFINITIONS[arithmetic].runs_as or arithmetic
    if runs_as is Arithmetic.XNOR:
        number_format = "bool"
    loop_format, assumption = _LOOP_FORMATS.get((runs_as, number_format), (number_format, ""))
    of_arithmetic = [
        loop
        for loop in target.loops
        if loop.arithmetic is runs_as and (matrix or loop.form is not Form.MATRIX)
    ]
    loops = [loop for loop in of_arithmetic if loop.number_format == loop_format]
    if not loops and number_format in ("fp16", "bf16"):
        loops = [loop for loop in of_arithmetic if loop.number_format == "fp32"]
        assumption = "computed in fp32"
    if not loops:
        return None
    if runs_as is not arithmetic:
        assumption = "; ".join(filter(None, (f"runs in the loop of {runs_as}", assumption)))
    loop = max(loops, key=lambda loop: loop.sites_per_cycle)
    return SiteSequence("measured inner loop", (Step(loop.step),), loop.sites, assumption)


def _instances(target: Target, recipe: Recipe, scalar: bool) -> Iterator[SiteSequence]:
    """The sequences of a recipe at every width in which the target has all its instructions."""
    ops = [op for op, _ in recipe.ops]
    forms = (Form.SCALAR,) if scalar else (Form.SCALAR, *VECTOR_FORMS, Form.MATRIX)
    for form in forms:
        by_width = [
            {row.vector_bits: row for row in reversed(best_per_width(target.rows(op, (form,))))} for op in ops
        ]
        if form is Form.SCALAR:
            # A mask on general registers would need two moves between register files.
            if recipe.vectors_only:
                continue
            # A row for 32 bits stands for the same instruction on a 64-bit register.
            rows = [next(iter(rows.values()), None) for rows in by_width]
            # On x86 the absolute value of a single float is a vector mask too.
            rows = [row or _mask(target, op) for row, op in zip(rows, ops, strict=True)]
            if None not in rows:
                yield _sequence(recipe, [row for row in rows if row])
            continue
        for width in set.intersection(*(set(rows) for rows in by_width)):
            yield _sequence(recipe, [rows[width] for rows in by_width])


def _mask(target: Target, op: str) -> Instruction | None:
    return next(iter(target.rows(op, VECTOR_FORMS)), None) if op.endswith("_abs") else None


def _sequence(recipe: Recipe, rows: list[Instruction]) -> SiteSequence:
    steps = tuple(Step(row, times) for row, (_, times) in zip(rows, recipe.ops, strict=True))
    multiple, _, op = recipe.counted.rpartition(" ")
    row = next(row for row in rows if row.op == op)
    sites = {"bits of": row.vector_bits, "one of": 1, "2 x": 2 * row.sites, "": row.sites}[multiple]
    return SiteSequence(recipe.name, steps, sites, recipe.assumption)
