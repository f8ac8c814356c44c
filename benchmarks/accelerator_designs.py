"""How many accelerator designs are costed in a second: `python benchmarks/accelerator_designs.py [SPEC]`.

The target is 10⁵ designs (array sizes × 3 dataflows × 5 elements × 2 formats) of one traced network in less
than 10 s on one core. The exit code is 1 if it takes longer. The wall time counts. The processor time beside
it shows whether the machine had other work.
"""

from __future__ import annotations

import sys
import time

import addercost
from addercost.analysis.accelerators import products_of
from addercost.arithmetic import Arithmetic
from addercost.cost.accelerator.designs import DesignSpace, costed_designs, fronts
from addercost.counts.model import count
from addercost.hardware import load_accelerator, load_energy

LIMIT_S = 10.0
SIDES = tuple(range(4, 236, 4))


def main(spec: str) -> int:
    layers, _ = products_of(count(addercost.trace_model(spec), "macs"))
    products = [product for _, of in layers for product in of]
    space = DesignSpace(
        load_accelerator("tpu-like"),
        SIDES,
        SIDES,
        ("weight-stationary", "output-stationary", "input-stationary"),
        tuple(Arithmetic),
        ("int8", "int16"),
    )
    wall, cpu = time.perf_counter(), time.process_time()
    found = costed_designs(products, space, load_energy("45nm"))
    best = fronts(found, found.energy_j >= 0)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    verdict = "under" if wall * 1e5 / space.size < LIMIT_S else "OVER"
    print(
        f"{spec}: {space.size:,} designs in {wall:.2f} s ({cpu:.2f} s of processor time), "
        f"{space.size / wall:,.0f} a second, {len(best)} on fronts; "
        f"10⁵ take {wall * 1e5 / space.size:.2f} s, {verdict} {LIMIT_S:g} s"
    )
    return int(verdict == "OVER")


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:] or ["torchvision:resnet18"])))
