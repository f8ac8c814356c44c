"""Tests, benchmarks and a report on a machine with a GPU, within eight minutes. Usage:

    python3 tools/gpu_check.py [--folder reports] [--minutes 8] [--dry-run]

Needs torch and Triton, and of other packages what `addercost bench` needs; builds and installs nothing.
Without nvidia-ml-py rows have no clock and no energy, and without msgspec tables are not summed up; the
report says so.

Each part runs in its own process with a time limit. A part that fails or is late is a line of the report; its
measurements until then are kept, and the other parts run. Writes reports/<name of the GPU>/, and its
README.md again after every part.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gpu_parts import LOST, RUN_PART, CheckPart, parts, run_part
from gpu_report import Outcome, folder_name, keep_what_was_measured, sections, summary, write_tables
from limited_run import run_limited

ROOT = Path(__file__).parent.parent
RESERVED_S = 20
"""Time for the report."""
GRACE_S = 5.0
"""Seconds between an interrupt, at which pytest prints its results so far, and a kill."""
PROBE_S = 90.0
"""A first import of torch reads gigabytes."""


def carry_out(part: CheckPart, folder: Path, left_s: float) -> Outcome:
    """Runs a part, with its output in a file."""
    log = folder / ("tests.txt" if part.name == "tests" else f"{part.name}.log")
    limit_s = min(part.limit_s, left_s)
    if limit_s < 1:
        return Outcome(part, "not run", 0.0, "the time was used up")
    start, lost = time.monotonic(), list[str]()
    log.unlink(missing_ok=True)
    while True:
        with log.open("a+b") as output:
            left = limit_s - (time.monotonic() - start)
            ended = run_limited(
                part.command, left, output, ROOT, os.environ | {"PYTHONPATH": str(ROOT)}, GRACE_S
            )
        last = ended.last_line[:200]
        if ended.code != LOST or last in lost:
            break
        lost.append(last)
    done = ended.code == 0
    if done and part.name != "tests" and not lost:
        log.unlink()
    said = last if part.name == "tests" or not done else ""
    if lost:
        said = f"the GPU was lost {len(lost)} times, at {lost[-1]}"
    state = "done" if done else "failed" if ended.code is not None else "late"
    return Outcome(part, state, time.monotonic() - start, said)


def probe() -> tuple[str, str]:
    """(name of the GPU, "") or ("", the reason why there is none). Another process finds it, since a CUDA
    context takes memory.
    """
    code = (
        "import json, torch\n"
        "from addercost.measure.devices.cuda_availability import usable_device\n"
        "from addercost.errors import AddercostError\n"
        "try:\n"
        "    print(json.dumps([torch.cuda.get_device_name(usable_device()), '']))\n"
        "except AddercostError as error:\n"
        "    print(json.dumps(['', str(error)]))\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=PROBE_S,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "", f"the GPU did not answer within {PROBE_S:.0f} s"
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        return "", f"torch cannot be used here: {last}"
    name, why = json.loads(done.stdout.strip().rpartition("\n")[2])
    return name, why


def check(
    reports: Path, end: float, device: str, chosen: str, carry: Callable[..., Outcome] = carry_out
) -> list[Outcome]:
    """Runs every part whose name contains `chosen`. It stops before the time `end` of the monotonic clock,
    early enough to write the report.
    """
    folder = (reports / folder_name(device)).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # The journal of an earlier run on another machine or of another version would refuse this run's rows.
    unread = keep_what_was_measured(folder)
    started = datetime.datetime.now(datetime.UTC).date().isoformat()
    since = time.time()
    outcomes: list[Outcome] = []

    def report() -> None:
        unread.extend(keep_what_was_measured(folder))
        text = summary(device, outcomes, [*unread, *sections(folder, since)], started)
        (folder / "README.md").write_text(text)

    wanted = [part for part in parts(folder) if chosen in part.name]
    # The report is written after every part, so that it exists however this run ends.
    for part in wanted:
        outcomes.append(carry(part, folder, end - RESERVED_S - time.monotonic()))
        o = outcomes[-1]
        print(f"{o.part.name:24} {o.state:8} {o.took_s:4.0f} s  {o.said}", flush=True)
        report()
    print(f"written to {folder}")
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "reports")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--only", default="", metavar="TEXT", help="parts whose name contains it")
    parser.add_argument("--dry-run", action="store_true", help="print the parts and their time limits")
    parser.add_argument(RUN_PART, default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    if options.run_part:
        write_tables(*run_part(options.run_part, options.folder))
        return 0
    if options.dry_run:
        for part in parts(options.folder / "<gpu>"):
            if options.only in part.name:
                print(f"{part.name:24} at most {part.limit_s:4.0f} s  {part.what}")
        print(f"all together at most {options.minutes:g} minutes, {RESERVED_S} s of them for the report")
        return 0
    device, why = probe()
    if not device:
        print(f"gpu-check: {why}", file=sys.stderr)
        return 1
    outcomes = check(options.folder, end, device, options.only)
    return 0 if all(o.state == "done" for o in outcomes) else 1


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
