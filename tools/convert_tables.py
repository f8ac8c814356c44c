"""Writes the hardware tables of `addercost/hardware` from the maintainers' spreadsheets.

    python tools/convert_tables.py DATA_FOLDER [--llvm-mca PATH]

DATA_FOLDER has cycles.csv, cpus.csv, devices.csv, gpus.csv, gpu_instructions.csv and energy.csv. The output
depends on nothing else, so running it twice changes nothing. With `--llvm-mca` the ports and issue widths of
the cores which that version of llvm-mca knows are added; without it those columns are left out. What was
dropped, and why, is printed. The files in cores/ are written by hand.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from cpu_tables import write_cpus
from device_tables import write_devices
from energy_tables import write_energy
from gpu_tables import write_gpus

HARDWARE = Path(__file__).resolve().parent.parent / "addercost" / "hardware"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("--llvm-mca", help="an llvm-mca that writes JSON, version 19 or later")
    parser.add_argument(
        "--to", type=Path, default=HARDWARE, help="where cpus/, devices/, gpus/ and energy/ are written"
    )
    arguments = parser.parse_args()
    dropped: Counter[str] = Counter()
    written = Counter(
        cpus=write_cpus(arguments.data_folder, arguments.to / "cpus", dropped, arguments.llvm_mca),
        devices=write_devices(arguments.data_folder, arguments.to / "devices", dropped),
        gpus=write_gpus(arguments.data_folder, arguments.to / "gpus", dropped),
        energy=write_energy(arguments.data_folder, arguments.to / "energy", dropped),
    )
    for folder, count in written.items():
        print(f"{count:4} files in {folder}/")
    print("dropped:")
    for reason, count in sorted(dropped.items()):
        print(f"{count:4} {reason}")


if __name__ == "__main__":
    main()
