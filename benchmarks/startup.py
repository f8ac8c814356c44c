"""Start-up: `--help`, and a whole `profile` beside a bare `import torch`, as whole processes run in turn.

    python -m benchmarks.startup [--runs 9] > benchmarks/results/startup.txt

Targets: `--help` under 150 ms; `profile examples/lenet5_bn.py` within 500 ms of `import torch`.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "import torch": ["-c", "import torch"],
    "addercost --help": ["cli.py", "--help"],
    "addercost profile examples/lenet5_bn.py": ["cli.py", "profile", "examples/lenet5_bn.py"],
}


def seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for arguments in COMMANDS.values():
        seconds(arguments)  # warm the file cache
    for _ in range(runs):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    print(f"Python {platform.python_version()}, {platform.machine()}, {runs} runs in turn, wall seconds")
    print(f"{'command':42} {'min':>7} {'median':>7} {'max':>7}")
    for name, values in times.items():
        print(f"{name:42} {min(values):7.3f} {statistics.median(values):7.3f} {max(values):7.3f}")
    pairs = zip(times["addercost profile examples/lenet5_bn.py"], times["import torch"], strict=True)
    extra = statistics.median(ours - torch for ours, torch in pairs)
    print(f"profile beyond import torch, median of pairs: {extra * 1e3:.0f} ms (target 500)")
    print(f"--help, median: {statistics.median(times['addercost --help']) * 1e3:.0f} ms (target 150)")


if __name__ == "__main__":
    main()
