"""`python -m tests.attack`: tries to break the tool, and prints what was tried, what passed and what failed.

`--quick` takes a part that is drawn by the seed. The same seed makes the same attempts.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.attack import at_once, bad_calls, binaries, documents, kills, material, names, places
from tests.attack.attempt import Attempt, outcomes
from tests.attack.warm import warm_up

Part = Callable[[Path, random.Random, float], Sequence[Attempt]]
"""From a folder of valid inputs, what is drawn from, and the share of attempts that is wanted, 0 to 1."""

PARTS: dict[str, Part] = {
    "bad calls": bad_calls.attempts,
    "damaged documents": documents.attempts,
    "damaged binaries": binaries.attempts,
    "kills": kills.attempts,
    "at once": at_once.attempts,
    "hostile names": names.attempts,
    "places": places.attempts,
}
QUICK = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--seed", type=int, help="0 with --quick, else another one each time")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the attempts")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--slowest", type=int, default=0, metavar="N", help="print the slowest attempts")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else 0 if given.quick else time.time_ns() % 10**6
    with tempfile.TemporaryDirectory(prefix="attack-of-") as place:
        return _attack(Path(place), seed, QUICK if given.quick else 1.0, given)


def _attack(place: Path, seed: int, share: float, given: argparse.Namespace) -> int:
    began = time.monotonic()
    print(f"seed {seed}; again: python -m tests.attack --seed {seed}{' --quick' * given.quick}", flush=True)
    home, inputs = place / "home", place / "inputs"
    home.mkdir()
    inputs.mkdir()
    warm_up()
    # What is never freed is not copied into each fork.
    gc.collect()
    gc.freeze()
    material.environment_of_the_attack(home)
    os.environ["TMPDIR"] = str(place)
    tempfile.tempdir = str(place)
    material.make(inputs)
    binaries.make_binaries(inputs)
    rows, slow = [], []
    for name in given.parts or PARTS:
        part_began = time.monotonic()
        tried = failed = 0
        # Each part draws for itself, so that one alone makes the same attempts.
        attempts = PARTS[name](inputs, random.Random(f"{seed} {name}"), share)
        for outcome in outcomes(attempts, given.processes):
            tried += outcome.tries
            failed += min(len(outcome.faults), outcome.tries)
            slow.append((outcome.seconds, f"{name}: {outcome.name}"))
            for fault in outcome.faults:
                print(f"FAILED {name}: {outcome.name}: {fault}", flush=True)
        rows.append((name, tried, tried - failed, failed, time.monotonic() - part_began))
    rows.append(("all", *(sum(row[i] for row in rows) for i in (1, 2, 3)), time.monotonic() - began))
    print(f"\n{'attack':<28}{'tried':>8}{'passed':>8}{'failed':>8}{'seconds':>9}")
    for name, *numbers, seconds in rows:
        print(f"{name:<28}" + "".join(f"{number:>8,}" for number in numbers) + f"{seconds:>9.0f}")
    for seconds, name in sorted(slow, reverse=True)[: given.slowest]:
        print(f"{seconds:8.2f} s  {name[:140]}")
    return min(rows[-1][3], 1)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Libraries would report as leaked what `gc.freeze` has kept.
    os._exit(code)
