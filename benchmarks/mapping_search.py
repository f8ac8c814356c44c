"""Compares energies of ten layers on accelerators with those of ZigZag, which searches mappings: `python
benchmarks/mapping_search.py [ACCELERATOR…]`, with `pip install 'addercost[accelerator]'`.

Both get matrix products with windows written out (inputs T × K), so that both move the same operands. The
layers are the different layers of ResNet-18 on an image of 224², and a linear one. The two count register
accesses differently (`addercost/cost/accelerator/mapping_search.py`), so the last column leaves registers
out.
"""

from __future__ import annotations

import sys

from addercost.arithmetic import Arithmetic
from addercost.cost.accelerator.estimate import element_for
from addercost.cost.accelerator.mapping_search import searched_cost
from addercost.cost.accelerator.product import product_cost
from addercost.counts.matrix_products import MatrixProduct
from addercost.hardware import list_hardware, load_accelerator, load_energy

LAYERS = {
    "conv1": (12544, 147, 64),
    "layer1 3x3": (3136, 576, 64),
    "layer2 3x3 /2": (784, 576, 128),
    "layer2 1x1 /2": (784, 64, 128),
    "layer2 3x3": (784, 1152, 128),
    "layer3 3x3 /2": (196, 1152, 256),
    "layer3 3x3": (196, 2304, 256),
    "layer4 3x3 /2": (49, 2304, 512),
    "layer4 3x3": (49, 4608, 512),
    "fc, batch 64": (64, 512, 1000),
}
"""T, K, N of each."""


def compare(name: str) -> None:
    accelerator = load_accelerator(name)
    element = element_for(Arithmetic.MAC, accelerator, load_energy(accelerator.energy_table))
    print(f"{name}, {accelerator.dataflow}, {accelerator.number_format} multiply-adds; energies in µJ")
    print(f"{'layer':15} {'ours':>9} {'ZigZag':>9} {'ratio':>6} {'without registers':>18}")
    near = 0
    for label, (t, k, n) in LAYERS.items():
        product = MatrixProduct(t, k, n, t * k)
        ours, theirs = (
            cost(product, accelerator, element).energy_pj for cost in (product_cost, searched_cost)
        )
        total, other = sum(ours.values()), sum(theirs.values())
        bare = (total - ours["registers"]) / (other - theirs["registers"])
        near += abs(total / other - 1) <= 0.2
        print(
            f"{label:15} {total / 1e6:9.2f} {other / 1e6:9.2f} {total / other:6.2f} {bare:18.2f}", flush=True
        )
    print(f"{near} of {len(LAYERS)} within 20 %\n")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or [file.name for file in list_hardware(kind="accelerator")]:
        compare(chosen)
