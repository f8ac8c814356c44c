"""Start-up: `--help`, and a whole `profile` beside a bare `import torch`, as whole processes run in turn.

    python -m benchmarks.startup [--runs 9] [--beside CHECKOUT] > benchmarks/results/startup.txt

Targets: `--help` under 150 ms; `profile examples/lenet5_bn.py` within 500 ms of `import torch`. Beside
another checkout, `--help` and `profile` run there in turn too, with the memory of their largest process.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
HELP, PROFILE = "addercost --help", "addercost profile examples/lenet5_bn.py"
COMMANDS = {
    "import torch": ["-c", "import torch"],
    HELP: ["cli.py", "--help"],
    PROFILE: ["cli.py", "profile", "examples/lenet5_bn.py"],
}


class Run(NamedTuple):
    """Wall and processor seconds of a process with what it started, and the bytes of its largest process."""

    wall_s: float
    processor_s: float
    peak_bytes: int


def run(arguments: list[str], root: Path) -> Run:
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], cwd=root, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} in {root} ended with {process.returncode}")
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT")
    given = parser.parse_args()
    wanted = {name: (arguments, ROOT) for name, arguments in COMMANDS.items()}
    if given.beside:
        wanted |= {f"{name}, beside": (COMMANDS[name], given.beside) for name in (HELP, PROFILE)}
    runs: dict[str, list[Run]] = {name: [] for name in wanted}
    for arguments, root in wanted.values():
        run(arguments, root)  # warm the file cache
    for _ in range(given.runs):
        for name, (arguments, root) in wanted.items():
            runs[name].append(run(arguments, root))
    print(f"Python {platform.python_version()}, {platform.machine()}, {given.runs} runs in turn")
    print(f"{'':48} {'wall seconds':^23} {'processor':>9} {'memory':>8}")
    print(f"{'command':48} {'min':>7} {'median':>7} {'max':>7} {'median s':>9} {'MiB':>8}")
    for name, found in runs.items():
        walls = [one.wall_s for one in found]
        print(
            f"{name:48} {min(walls):7.3f} {statistics.median(walls):7.3f} {max(walls):7.3f}"
            f" {statistics.median(one.processor_s for one in found):9.3f}"
            f" {statistics.median(one.peak_bytes for one in found) / 2**20:8.1f}"
        )
    pairs = zip(runs[PROFILE], runs["import torch"], strict=True)
    extra = statistics.median(ours.wall_s - torch.wall_s for ours, torch in pairs)
    print(f"profile beyond import torch, median of pairs: {extra * 1e3:.0f} ms (target 500)")
    print(f"--help, median: {statistics.median(one.wall_s for one in runs[HELP]) * 1e3:.0f} ms (target 150)")


if __name__ == "__main__":
    main()
