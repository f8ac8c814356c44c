"""How many small mistakes in the code do the tests notice?

    python -m tools.mutants [PART…] [--sample N] [--seed S] [--jobs J]      (`make mutants`)

Each mutant is one small change of one file (`mutations.py`, by cosmic-ray). It is killed where a test fails
that passes without it, and survives where none does. The tests are those that run the changed function
(`recorded_tests.py`): first the quickest, `--limit` seconds of them, then all. Survivors are written to
output/mutants.txt in the form of tests/mutants_accepted.toml, the list of mutants that no test could kill,
with the reasons. Exits with 1 where more than a tenth of a part's mutants survive, accepted ones left aside.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import math
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tools.mutants.accepted import accepted_mutants
from tools.mutants.forks import in_forks, replace_source
from tools.mutants.mutations import Mutant, changed_lines, mutants_of, mutated
from tools.mutants.recorded_tests import RecordedTests, record

PARTS: Mapping[str, tuple[str, ...]] = {
    "addercost/units.py": ("tests/test_units.py",),
    "addercost/counts": ("tests/counts",),
    "addercost/cost": ("tests/cost",),
    "addercost/hardware": ("tests/hardware",),
    "addercost/results": ("tests/results", "tests/report", "tests/measure/test_intervals.py"),
}
"""What is mutated, and the tests that have to notice."""

MOST_SURVIVE = 0.1
OUTPUT = Path("output/mutants.txt")
OPTIONS = ("-q", "-x", "-n0", "-p", "no:cacheprovider", "-m", "not exhaustive", "-W", "ignore")
MAP_LIMIT_S = 1800.0
OVERHEAD_S = 60.0
"""What a mutant's run may take beyond its tests: imports, and a machine that others use."""


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that no test noticed. tests: how many ran with it."""

    mutant: Mutant
    before: str
    after: str
    tests: int


@dataclass
class Tally:
    """One part's mutants: how many were killed, survived or are accepted; survivors in full."""

    outcomes: Counter[str] = field(default_factory=Counter)
    survivors: list[Survivor] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of the mutants that are not accepted, those that survive."""
        decided = self.outcomes["killed"] + self.outcomes["survived"]
        return self.outcomes["survived"] / decided if decided else 0.0


TAKE_LONG = (
    "torch",
    "torch.testing._internal.common_methods_invocations",
    "torch.utils.flop_counter",
    "fvcore.nn",
    "hypothesis",
    "matplotlib.pyplot",
    "msgspec",
    "pandas",
    "thop",
    "torchinfo",
)
"""What tests import that is not ours; forks inherit it."""


def import_what_takes_long() -> None:
    for name in TAKE_LONG:
        importlib.import_module(name)
    assert not any(name.partition(".")[0] == "addercost" for name in sys.modules)


def outcome_of(mutant: Mutant, tests: Sequence[str]) -> str:
    """Runs the tests with the mutant in place of its file: "killed" or "survived"."""
    if not tests:
        return "survived"
    replace_source(str(Path(mutant.file).resolve()), mutated(mutant))
    code = pytest.main([*OPTIONS, *tests])
    return "survived" if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) else "killed"


def files_of(part: str) -> list[Path]:
    path = Path(part)
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def chosen(mutants: Sequence[Mutant], sample: int | None, seed: int) -> list[Mutant]:
    if sample is None or sample >= len(mutants):
        return list(mutants)
    return sorted(random.Random(seed).sample(mutants, sample), key=mutants.index)


def tested(
    mutants: Sequence[Mutant], tests: RecordedTests, tally: Tally, jobs: int, limit_s: float
) -> Iterator[str]:
    """Runs every mutant, enters what becomes of it into the tally, and yields that.

    A mutant that survives the quickest of its tests is run again with all of them.
    """
    accepted = accepted_mutants()
    again: list[Mutant] = []
    for mutant, outcome, names in _outcomes(mutants, tests, jobs, limit_s, 3 * limit_s + OVERHEAD_S):
        if outcome == "survived" and len(names) < len(tests.tests_for(mutant.file, mutant.function)):
            again.append(mutant)
        else:
            yield _entered(mutant, outcome, names, accepted, tally)
    for mutant, outcome, names in _outcomes(again, tests, jobs, math.inf, MAP_LIMIT_S):
        yield _entered(mutant, outcome, names, accepted, tally)


def _outcomes(
    mutants: Sequence[Mutant], tests: RecordedTests, jobs: int, limit_s: float, at_most_s: float
) -> Iterator[tuple[Mutant, str, list[str]]]:
    """Each mutant, "killed" or "survived", and the tests that were run: `limit_s` of them."""
    names = {mutant: tests.tests_for(mutant.file, mutant.function, limit_s) for mutant in mutants}
    tasks = [(mutant, functools.partial(outcome_of, mutant, names[mutant])) for mutant in mutants]
    for mutant, found in in_forks(tasks, jobs, at_most_s):
        # A run that ended itself, or took too long, was noticed.
        yield mutant, found or "killed", names[mutant]


def _entered(
    mutant: Mutant,
    outcome: str,
    names: Sequence[str],
    accepted: Collection[tuple[str, str, str]],
    tally: Tally,
) -> str:
    """Enters an outcome into the tally; a survivor that is on the list of accepted ones is "accepted"."""
    if outcome == "survived":
        before, after = changed_lines(mutant)
        if (mutant.file, before, after) in accepted:
            outcome = "accepted"
        else:
            tally.survivors.append(Survivor(mutant, before, after, len(names)))
    tally.outcomes[outcome] += 1
    return outcome


def write_survivors(tallies: Mapping[str, Tally]) -> None:
    """One entry a survivor, in the form of the file of accepted ones."""
    lines = []
    for part, tally in tallies.items():
        lines.append(f"# {part}: {len(tally.survivors)} survived")
        for one in sorted(tally.survivors, key=lambda one: (one.mutant.file, one.mutant.line)):
            mutant = one.mutant
            tests = f"{one.tests} tests" if one.tests else "no test runs it"
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
    lines = [f"{'part':<22}{'mutants':>9}{'killed':>9}{'survived':>9}{'accepted':>9}{'survive':>9}"]
    for part, tally in tallies.items():
        counts = tally.outcomes
        lines.append(
            f"{part:<22}{counts.total():>9}{counts['killed']:>9}{counts['survived']:>9}{counts['accepted']:>9}"
            f"{tally.share:>9.1%}"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--sample", type=int, help="at most so many mutants a part (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds of tests to try first")
    arguments = parser.parse_args()
    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        parser.error(f"unknown part {unknown[0]}: one of {', '.join(PARTS)}")
    accepted_mutants()
    import_what_takes_long()
    os.nice(10)
    tallies: dict[str, Tally] = {}
    for part in arguments.parts:
        start = time.monotonic()
        files = files_of(part)
        tests = [path for path in PARTS[part] if Path(path).exists()]
        run_once = functools.partial(record, [str(file) for file in files], tests, OPTIONS)
        ((_, found),) = in_forks([(part, run_once)], 1, MAP_LIMIT_S)
        if found is None or found.failed:
            print(f"{part}: tests fail without a mutant: {found and found.failed}", file=sys.stderr)
            return 2
        mutants = [mutant for file in files for mutant in mutants_of(file)]
        some = chosen(mutants, arguments.sample, arguments.seed)
        tally = tallies[part] = Tally()
        for i, outcome in enumerate(tested(some, found, tally, arguments.jobs, arguments.limit), 1):
            if outcome == "survived":
                write_survivors(tallies)
            print(f"\r{part}: {i} of {len(some)}", end="", file=sys.stderr, flush=True)
        took = time.monotonic() - start
        print(f"\n{part}: {len(some)} of {len(mutants)} mutants in {took:.0f} s", file=sys.stderr, flush=True)
    write_survivors(tallies)
    print(summary(tallies))
    print(f"survivors: {OUTPUT}")
    return int(any(tally.share > MOST_SURVIVE for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
