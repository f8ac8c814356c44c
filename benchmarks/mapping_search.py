"""Energies of ten layers on an accelerator beside those of ZigZag, which searches mappings:
`python benchmarks/mapping_search.py [ACCELERATOR]`.

Needs an environment of its own with `pip install zigzag-dse six msgspec` (zigzag-dse 3.9.1 needs six and does
not say so). Both get matrix products with windows written out (inputs T × K), so that both move the same
operands. The spatial mapping is that of a weight-stationary array, on divisors of K and N, as ZigZag takes
nothing else, so other dataflows are refused. The layers are those of ResNet-18 that differ, on an image of
224², and a linear one.

ZigZag charges a partial sum four movements in registers for each site, and a stationary filter none; we
charge both operands once and the sum twice. So registers differ by definition, and the last column leaves
them out.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from addercost.arithmetic import Arithmetic
from addercost.cost.accelerator.estimate import element_for
from addercost.cost.accelerator.product import product_cost
from addercost.counts.matrix_products import MatrixProduct
from addercost.hardware import load_accelerator, load_energy
from addercost.hardware.schema.accelerator import Accelerator, AcceleratorMemory

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
BITS = {"int8": 8, "int16": 16, "int32": 32, "fp16": 16, "fp32": 32}
_OPERANDS = {"input": "I1", "filter": "I2", "output": "O"}
_MOVES = {"input": ("fh", "tl"), "filter": ("fh", "tl"), "output": ("fh", "tl", "fl", "th")}


def memory(level: AcceleratorMemory, accelerator: Accelerator) -> dict[str, Any]:
    """A level in ZigZag's words. A port moves whole bandwidths, so its energy is that of so many bytes."""
    register = level.role == "register"
    each = BITS[
        accelerator.accumulator_format if level.operands == ("output",) else accelerator.number_format
    ]
    bits = each if register else int((level.bytes_per_cycle or 64) * 8)
    moves = [f"{_OPERANDS[o]}, {move}" for o in level.operands for move in _MOVES[o]]
    return {
        "size": each if register else (level.size_bytes or 10**9) * 8,
        "r_cost": level.energy_pj_per_byte * bits / 8,
        "w_cost": level.energy_pj_per_byte * bits / 8,
        "area": 0,
        "latency": 1,
        "operands": [_OPERANDS[o] for o in level.operands],
        "ports": [
            {
                "name": f"{kind[0]}_port_{i + 1}" if register else "rw_port_1",
                "type": kind if register else "read_write",
                "bandwidth_min": each if register else 8,
                "bandwidth_max": bits,
                "allocation": [move] if register else moves,
            }
            for i, (kind, move) in enumerate(_register_ports(moves) if register else [("read_write", "")])
        ],
        "served_dimensions": [] if register else ["D1", "D2"],
    }


def _register_ports(moves: list[str]) -> list[tuple[str, str]]:
    reads = [move for move in moves if move.endswith(("tl", "th"))]
    return [("read", move) for move in reads] + [("write", move) for move in moves if move not in reads]


def described(accelerator: Accelerator, energy_pj: float) -> dict[str, Any]:
    """The accelerator in ZigZag's words: a register for filters and one for sums, then the other levels."""
    levels: dict[str, Any] = {}
    for level in accelerator.memories:
        if level.role == "register":
            for operand in ("filter", "output"):
                own = replace(level, operands=(operand,))
                levels[f"{level.memory} {operand}"] = memory(own, accelerator)
        else:
            levels[level.memory] = memory(level, accelerator)
    return {
        "name": accelerator.name,
        "memories": levels,
        "operational_array": {
            "unit_energy": energy_pj,
            "unit_area": 1,
            "dimensions": ["D1", "D2"],
            "sizes": [accelerator.columns, accelerator.rows],
        },
    }


def largest_divisor(size: int, most: int) -> int:
    return max(d for d in range(1, most + 1) if size % d == 0)


def searched(accelerator: Accelerator, energy_pj: float, t: int, k: int, n: int) -> dict[str, float]:
    """Picojoules by ZigZag: in all, of the elements and of registers."""
    import yaml
    from zigzag.api import get_hardware_performance_zigzag

    spatial = {
        "D1": [f"K, {largest_divisor(n, accelerator.columns)}"],
        "D2": [f"C, {largest_divisor(k, accelerator.rows)}"],
    }
    links = {"O": "O", "W": "I2", "I": "I1"}
    bits, sums = BITS[accelerator.number_format], BITS[accelerator.accumulator_format]
    workload = {
        "id": 0,
        "name": "layer",
        "operator_type": "Gemm",
        "equation": "O[b][k]+=I[b][c]*W[c][k]",
        "dimension_relations": [],
        "loop_dims": ["B", "K", "C"],
        "loop_sizes": [t, n, k],
        "operand_precision": {"W": bits, "I": bits, "O": sums, "O_final": bits},
        "operand_source": {"I": 0, "W": 0},
    }
    with tempfile.TemporaryDirectory() as folder:
        hardware, mapping = Path(folder) / "hardware.yaml", Path(folder) / "mapping.yaml"
        # The order of memories is their order in the hierarchy.
        hardware.write_text(yaml.safe_dump(described(accelerator, energy_pj), sort_keys=False))
        rule = {"name": "default", "spatial_mapping": spatial, "memory_operand_links": links}
        mapping.write_text(yaml.safe_dump([rule], sort_keys=False))
        total, _, found = get_hardware_performance_zigzag(
            [workload],
            str(hardware),
            str(mapping),
            opt="energy",
            dump_folder=f"{folder}/out",
            loma_show_progress_bar=False,
        )
    cost = found[0][0]
    parts = {str(operand): list(each) for operand, each in cost.mem_energy_breakdown.items()}
    registers = parts["W"][0] + parts["O"][0]
    return {"total": float(total), "elements": float(cost.mac_energy), "registers": float(registers)}


def main(name: str) -> int:
    logging.disable(logging.CRITICAL)
    accelerator = load_accelerator(name)
    if accelerator.dataflow != "weight-stationary":
        raise SystemExit(f"{name} is {accelerator.dataflow}: name a weight-stationary array")
    element = element_for(Arithmetic.MAC, accelerator, load_energy(accelerator.energy_table))
    assert element.energy_pj is not None
    print(f"{name}, {accelerator.number_format} multiply-adds; energies in µJ; ours / ZigZag's")
    print(f"{'layer':15} {'ours':>9} {'ZigZag':>9} {'ratio':>6} {'without registers':>18}")
    near = 0
    for label, (t, k, n) in LAYERS.items():
        ours = product_cost(MatrixProduct(t, k, n, t * k), accelerator, element).energy_pj
        theirs = searched(accelerator, element.energy_pj, t, k, n)
        total = sum(ours.values())
        bare = (total - ours["registers"]) / (theirs["total"] - theirs["registers"])
        ratio = total / theirs["total"]
        near += abs(ratio - 1) <= 0.2
        print(f"{label:15} {total / 1e6:9.2f} {theirs['total'] / 1e6:9.2f} {ratio:6.2f} {bare:18.2f}")
    print(f"{near} of {len(LAYERS)} within 20 %")
    return 0


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:] or ["tpu-like"])))
