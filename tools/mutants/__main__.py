"""How many small mistakes in the code do the tests notice?

    python -m tools.mutants [PART…] [--sample N] [--seed S] [--jobs J]      (`make mutants`)

Each mutant is one small change of one file (`mutations.py`, by cosmic-ray). It is killed where a test fails
that passes without it, and survives where none does. The tests are those that run the changed statement
(`recorded_tests.py`): first those whose module imports the file, the quickest before the others, and at most
`--limit` seconds of them. Where that left tests out, a survivor is counted apart, as "cut off": they might
notice it. Most mutants are made in a fork of a process that has imported the tests (`collected.py`), the rest
in one that has not (`imported_anew.py`).

A run is limited by its processor time and not by the clock, so it is the same on a machine that is busy. One
that sleeps for a minute is noticed as well, and one that others end is "undecided". Survivors are written to
output/mutants.txt in the form of tests/mutants_accepted.toml, the list of mutants that no test could kill,
with the reasons. PART may be a file or a folder inside a part; `--tests` takes other tests than those of the
part. Exits with 1 where more than a tenth of a part's mutants survive, accepted ones left aside.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.mutants.accepted import accepted_mutants
from tools.mutants.collected import in_place
from tools.mutants.forks import NoResult, Task, in_forks
from tools.mutants.imported_anew import fail_unchanged, imported_anew
from tools.mutants.mutations import Mutant, changed_lines, mutants_of
from tools.mutants.outcome import Outcome
from tools.mutants.recorded_tests import OF_EVERY_CLASS

PARTS: Mapping[str, tuple[str, ...]] = {
    "addercost/units.py": ("tests/test_units.py",),
    "addercost/reading.py": ("tests/results", "tests/hardware"),
    "addercost/counts/rules": ("tests/counts", OF_EVERY_CLASS),
    # The instructions of an arithmetic and the kernels of a call are used only by costs.
    "addercost/counts": (
        "tests/counts",
        "tests/cost/test_kernel_features.py",
        "tests/cost/test_recipes.py",
        "tests/cost/test_recipes_without_products.py",
        "tests/cost/test_lowering.py",
        "tests/cost/test_fastest_sequences.py",
        OF_EVERY_CLASS,
    ),
    "addercost/cost": (
        "tests/cost",
        "tests/hardware/test_accelerator_files.py",
        "tests/hardware/test_devices.py",
        "tests/hardware/test_peaks.py",
        "tests/report/test_verdict.py",
        OF_EVERY_CLASS,
    ),
    "addercost/hardware": ("tests/hardware", "tests/cost/test_lowering.py", OF_EVERY_CLASS),
    "addercost/results": (
        "tests/results",
        "tests/report",
        "tests/cli/test_validate.py",
        "tests/measure/test_intervals.py",
        OF_EVERY_CLASS,
    ),
}
"""What is mutated, and the tests that have to notice. A part inside another is counted apart."""

MOST_SURVIVE = 0.1
OUTPUT = Path("output/mutants.txt")
WITHOUT_AN_END_S = 1e6
MOST_KILLERS = 30
"""How many of the tests that noticed a mutant are run alone without a mutant; they must pass."""


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that no test noticed. tests: how many ran with it; left_out: how many more could have."""

    mutant: Mutant
    before: str
    after: str
    tests: int
    left_out: int


@dataclass
class Tally:
    """One part's mutants: how many were killed, survived, were cut off, are accepted or undecided; those that
    survived or were cut off in full."""

    outcomes: Counter[str] = field(default_factory=Counter)
    survivors: list[Survivor] = field(default_factory=list)

    @property
    def shares(self) -> tuple[float, float]:
        """(least, most) share of survivors among mutants that are not accepted. The least is the share if the
        tests that were left out would notice all mutants that were cut off.
        """
        survived, cut_off = self.outcomes["survived"], self.outcomes["cut off"]
        decided = self.outcomes["killed"] + survived + cut_off
        return (survived / decided, (survived + cut_off) / decided) if decided else (0.0, 0.0)


def files_of(part: str) -> list[Path]:
    path = Path(part)
    if path.is_file():
        return [path]
    inner = [Path(other) for other in PARTS if other != part and Path(other).is_relative_to(path)]
    return sorted(
        file for file in path.rglob("*.py") if not any(file.is_relative_to(other) for other in inner)
    )


def chosen(mutants: Sequence[Mutant], sample: int | None, seed: int) -> list[Mutant]:
    if sample is None or sample >= len(mutants):
        return list(mutants)
    return sorted(random.Random(seed).sample(mutants, sample), key=mutants.index)


class Progress:
    """Counts mutants on the terminal, and names survivors as they are found."""

    def __init__(self, part: str, total: int) -> None:
        self.part, self.total, self.ended, self.survived = part, total, 0, 0

    def __call__(self, outcome: Outcome) -> None:
        self.ended += 1
        self.survived += outcome.survived
        line = f"\r{self.part}: {self.ended} of {self.total}, {self.survived} survived"
        print(line, end="", file=sys.stderr, flush=True)


def tested(
    mutants: Sequence[Mutant], tests: Sequence[str], jobs: int, limit_s: float, part: str
) -> list[Outcome]:
    """The outcome of each mutant. Raises ValueError where tests fail without a mutant."""
    progress = Progress(part, len(mutants))
    run = functools.partial(in_place, mutants, tests, jobs, limit_s, progress)
    ((_, found),) = in_forks([Task(part, run, WITHOUT_AN_END_S, errors=True)], 1, math.inf)
    if isinstance(found, NoResult):
        raise ValueError(f"the run with mutants gave no result: {found.why}")
    if found.tests.failed:
        raise ValueError(f"tests fail without a mutant: {found.tests.failed}")
    outcomes = list(found.outcomes)
    progress.ended, progress.survived = len(outcomes), sum(one.survived for one in outcomes)
    for outcome in imported_anew(found.others, found.tests, jobs, limit_s):
        outcomes.append(outcome)
        progress(outcome)
    killers = sorted({one.killer for one in outcomes if one.killer})
    if wrong := fail_unchanged(killers[:: len(killers) // MOST_KILLERS + 1], found.tests, jobs):
        raise ValueError(f"tests fail when they run alone: {wrong}")
    return outcomes


def entered(outcomes: Sequence[Outcome], accepted: Collection[tuple[str, str, str]]) -> Tally:
    """The outcome to record: a survivor that is on the list of accepted mutants counts as "accepted"."""
    tally = Tally()
    for one in outcomes:
        if one.killer is not None:
            tally.outcomes["killed"] += 1
            continue
        if one.undecided:
            tally.outcomes["undecided"] += 1
            print(f"\n{one.mutant.file}:{one.mutant.line}: {one.undecided}", file=sys.stderr)
            continue
        before, after = changed_lines(one.mutant)
        if (one.mutant.file, before, after) in accepted:
            tally.outcomes["accepted"] += 1
        else:
            tally.outcomes["cut off" if one.left_out else "survived"] += 1
            tally.survivors.append(Survivor(one.mutant, before, after, one.tests, one.left_out))
    return tally


def write_survivors(tallies: Mapping[str, Tally]) -> None:
    """One entry a survivor, in the form of the file of accepted ones."""
    lines = []
    for part, tally in tallies.items():
        lines.append(f"# {part}: {len(tally.survivors)} survived")
        for one in sorted(tally.survivors, key=lambda one: (one.mutant.file, one.mutant.line)):
            mutant = one.mutant
            tests = f"{one.tests} tests" if one.tests else "no test runs it"
            tests += f", {one.left_out} left out" if one.left_out else ""
            lines += [
                f"\n# {mutant.file}:{mutant.line}, {mutant.operator}, {tests}",
                "[[mutant]]",
                f'file = "{mutant.file}"',
                f"before = '''{one.before}'''",
                f"after = '''{one.after}'''",
                'reason = ""',
            ]
        lines.append("")
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


def summary(tallies: Mapping[str, Tally]) -> str:
    columns = ("mutants", "killed", "survived", "cut off", "accepted", "undecided", "at least", "at most")
    lines = [f"{'part':<22}" + "".join(f"{name:>10}" for name in columns)]
    for part, tally in tallies.items():
        counts = tally.outcomes
        lines.append(
            f"{part:<22}{counts.total():>10}"
            + "".join(f"{counts[name]:>10}" for name in columns[1:-2])
            + "".join(f"{share:>10.1%}" for share in tally.shares)
        )
    return "\n".join(lines)


def tests_for(part: str) -> tuple[str, ...]:
    """The tests of a part, or of the part that a file or folder is in."""
    for name, tests in PARTS.items():
        if Path(part).is_relative_to(name) and Path(part).exists():
            return tests
    raise ValueError(f"unknown part {part}: one of {', '.join(PARTS)}, or inside one")


def end_with_a_message(number: int, _: object) -> None:
    sys.exit(f"\nended by {signal.Signals(number).name}: no result")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--sample", type=int, help="at most so many mutants a part (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--tests", nargs="+", metavar="PATH", help="files or folders (default: the part's)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--limit", type=float, default=20.0, help="seconds of tests that a mutant has to survive"
    )
    arguments = parser.parse_args()
    try:
        tests = {part: arguments.tests or tests_for(part) for part in arguments.parts}
    except ValueError as error:
        parser.error(str(error))
    accepted = accepted_mutants()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_with_a_message)
    os.nice(10)
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")  # Forks cannot use their parent's threads.
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        for part in arguments.parts:
            start = time.monotonic()
            mutants = [mutant for file in files_of(part) for mutant in mutants_of(file)]
            some = chosen(mutants, arguments.sample, arguments.seed)
            try:
                outcomes = tested(some, tests[part], arguments.jobs, arguments.limit, part)
            except ValueError as error:
                print(f"{part}: {error}", file=sys.stderr)
                return 2
            tallies[part] = entered(outcomes, accepted)
            write_survivors(tallies)
            took = time.monotonic() - start
            print(
                f"\n{part}: {len(some)} of {len(mutants)} mutants in {took:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    print(summary(tallies))
    print(f"survivors: {OUTPUT}")
    return int(any(tally.shares[1] > MOST_SURVIVE for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
