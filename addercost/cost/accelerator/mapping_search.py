"""A second estimate of matrix products on an array: ZigZag searches mappings, where `product.py` has closed
forms. It needs `pip install 'addercost[accelerator]'`. Only this file imports ZigZag, and only inside
functions.

Both use the same array, dataflow, memories, energies and bytes. They differ in this:

- ZigZag cuts loops at prime factors. So a side of the layer is padded here to whole folds of equal size, and
  the number of folds to one without large prime factors (18 for 17). Some layers get a few percent larger.
- ZigZag gets a convolution as the matrix product of its written-out windows. Windows overlap, so only the
  distinct share of what it fetches from DRAM into a buffer is charged.
- ZigZag keeps the stationary operand and the sums in registers. It charges up to four register accesses of a
  sum for each site, and we charge two. It charges none for a filter that stays, and we charge every read.
- ZigZag's array takes no cycles to fill. It waits for each of its ports, and ours does not.
"""

from __future__ import annotations

import functools
import logging
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from addercost.cost.accelerator.element import Element
from addercost.cost.accelerator.estimate import Mapper
from addercost.cost.accelerator.product import ELEMENTS, ProductCost, product_cost
from addercost.counts.matrix_products import MatrixProduct
from addercost.errors import ArgumentError
from addercost.hardware.schema.accelerator import Accelerator, AcceleratorMemory, Operand

ZIGZAG = "zigzag"
_OPERANDS: dict[Operand, str] = {"input": "I1", "filter": "I2", "output": "O"}
_LAYER_OPERANDS: dict[Operand, str] = {"input": "I", "filter": "W", "output": "O"}
_MOVES: dict[Operand, tuple[str, ...]] = {
    "input": ("fh", "tl"),
    "filter": ("fh", "tl"),
    "output": ("fh", "tl", "fl", "th"),
}
"""Movements of each operand, in ZigZag's words: from and to the level above (h) and below (l)."""
_STATIONARY: dict[str, Operand] = {
    "weight-stationary": "filter",
    "output-stationary": "output",
    "input-stationary": "input",
}
_SIDES = {"weight-stationary": ("k", "n"), "output-stationary": ("t", "n"), "input-stationary": ("k", "t")}
"""The dimensions that are spread over rows and over columns."""
_LOOPS = {"t": "B", "k": "C", "n": "K"}
_UNLIMITED_BYTES = 10**9


def require_zigzag() -> None:
    """Raises ArgumentError where the package is missing."""
    try:
        import zigzag  # noqa: F401
    except ImportError:
        raise ArgumentError(
            "--mapper zigzag needs the package zigzag-dse", "pip install 'addercost[accelerator]'"
        ) from None


def searched_cost(product: MatrixProduct, accelerator: Accelerator, element: Element) -> ProductCost:
    """The cost of one layer with all its repeats, by the mapping of least energy. Raises ArgumentError where
    ZigZag finds no mapping.
    """
    if not product.sites:
        return ProductCost(0, 0, {})
    t, k, n = product.outputs_each, product.depth, product.filters
    sizes, unrolled = _in_whole_folds({"t": t, "k": k, "n": n}, accelerator)
    if all(size == unrolled.get(name, 1) for name, size in sizes.items()):
        return product_cost(product, accelerator, element)  # one step of the array: no loop to order
    widths = (element.operand_bytes, element.filter_bytes, element.sum_bytes)
    compute, cycles, memories = _searched(t, k, n, product.inputs / (t * k), accelerator, widths)
    energy = {ELEMENTS: t * k * n * (element.energy_pj or 0.0), **dict(memories)}
    times = product.repeats
    return ProductCost(compute * times, cycles * times, {level: pj * times for level, pj in energy.items()})


SEARCHED = Mapper(
    ZIGZAG,
    searched_cost,
    (
        "mappings of least energy, searched by ZigZag",
        "windows of convolutions are written out in the buffers",
        "moves in registers as ZigZag counts them",
    ),
)


@functools.lru_cache(maxsize=4096)
def _searched(
    t: int, k: int, n: int, distinct: float, accelerator: Accelerator, widths: tuple[float, float, float]
) -> tuple[float, float, tuple[tuple[str, float], ...]]:
    """Cycles of the array alone, cycles with memories, and picojoules of each level of memory. The energy of
    an element changes no mapping, so elements with operands of equal width share the result.
    """
    require_zigzag()
    import yaml
    from zigzag.api import get_hardware_performance_zigzag

    sizes, unrolled = _in_whole_folds({"t": t, "k": k, "n": n}, accelerator)
    bits = {operand: math.ceil(each * 8) for operand, each in zip(_OPERANDS, widths, strict=True)}
    levels = _levels(accelerator)
    rows, columns = _SIDES[accelerator.dataflow]
    spatial = {"D1": [f"{_LOOPS[columns]}, {unrolled[columns]}"], "D2": [f"{_LOOPS[rows]}, {unrolled[rows]}"]}
    links = {_LAYER_OPERANDS[operand]: name for operand, name in _OPERANDS.items()}
    mapping = [{"name": "default", "spatial_mapping": spatial, "memory_operand_links": links}]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The order of memories is their order in the hierarchy.
        hardware = yaml.safe_dump(_hardware(accelerator, levels, bits), sort_keys=False)
        (folder / "hardware.yaml").write_text(hardware)
        (folder / "mapping.yaml").write_text(yaml.safe_dump(mapping, sort_keys=False))
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            *_, found = get_hardware_performance_zigzag(
                [_workload(sizes, bits)],
                str(folder / "hardware.yaml"),
                str(folder / "mapping.yaml"),
                opt="energy",
                dump_folder=str(folder / "out"),
                loma_show_progress_bar=False,
            )
        except Exception as error:
            raise ArgumentError(
                f"zigzag finds no mapping of a product of {t} × {k} by {k} × {n} on {accelerator.name}: "
                f"{type(error).__name__}",
                "leave --mapper out, or name another accelerator",
            ) from error
        finally:
            logging.disable(before)
    cost = found[0][0]
    picojoules = dict.fromkeys((memory.memory for memory in accelerator.memories), 0.0)
    for level, pj in _energies(cost, levels, distinct):
        picojoules[level] += pj
    return float(cost.ideal_temporal_cycle), float(cost.latency_total2), tuple(picojoules.items())


def _in_whole_folds(
    sizes: Mapping[str, int], accelerator: Accelerator
) -> tuple[dict[str, int], dict[str, int]]:
    """The sizes with the two dimensions on the array's sides padded to folds of equal size, and the size of a
    fold.
    """
    padded, unrolled = dict(sizes), {}
    for name, side in zip(_SIDES[accelerator.dataflow], (accelerator.rows, accelerator.columns), strict=True):
        folds = _smooth(-(-sizes[name] // side))
        unrolled[name] = -(-sizes[name] // folds)
        padded[name] = folds * unrolled[name]
    return padded, unrolled


def _smooth(folds: int) -> int:
    """The least number from `n` on without a prime factor above 7. Loops are cut at prime factors, and 17
    cannot be cut.
    """
    rest = folds
    for factor in (2, 3, 5, 7):
        while rest % factor == 0:
            rest //= factor
    return folds if rest == 1 else _smooth(folds + 1)


def _levels(accelerator: Accelerator) -> list[tuple[str, AcceleratorMemory, tuple[Operand, ...]]]:
    """(name, memory, operands) of each level, from the elements outwards. Registers of the stationary operand
    and registers of sums are one level each; the other memories follow.
    """
    kept = dict.fromkeys((_STATIONARY[accelerator.dataflow], "output"))
    levels: list[tuple[str, AcceleratorMemory, tuple[Operand, ...]]] = []
    for memory in accelerator.memories:
        if memory.role == "register":
            own = [operand for operand in kept if operand in memory.operands]
            levels += [(f"{memory.memory} {operand}", memory, (operand,)) for operand in own]
        else:
            levels.append((memory.memory, memory, memory.operands))
    return levels


def _hardware(
    accelerator: Accelerator,
    levels: Sequence[tuple[str, AcceleratorMemory, tuple[Operand, ...]]],
    bits: Mapping[Operand, int],
) -> dict[str, Any]:
    return {
        "name": accelerator.name,
        "memories": {name: _memory(memory, operands, bits) for name, memory, operands in levels},
        "operational_array": {
            "unit_energy": 0.0,
            "unit_area": 1,
            "dimensions": ["D1", "D2"],
            "sizes": [accelerator.columns, accelerator.rows],
        },
    }


def _memory(
    memory: AcceleratorMemory, operands: Sequence[Operand], bits: Mapping[Operand, int]
) -> dict[str, Any]:
    """A level of memory as ZigZag describes it. A port moves as many bytes as its bandwidth at each access,
    so the energy is that of so many bytes.
    """
    register = memory.role == "register"
    width = bits[operands[0]] if register else int((memory.bytes_per_cycle or 64) * 8)
    moves = [f"{_OPERANDS[operand]}, {move}" for operand in operands for move in _MOVES[operand]]
    ports = [
        {
            "name": name,
            "type": kind,
            "bandwidth_min": width if register else 8,
            "bandwidth_max": width,
            "allocation": own,
        }
        for name, kind, own in (_register_ports(moves) if register else [("rw_port_1", "read_write", moves)])
    ]
    size = bits[operands[0]] if register else (memory.size_bytes or _UNLIMITED_BYTES) * 8
    return {
        "size": size,
        "r_cost": memory.energy_pj_per_byte * width / 8,
        "w_cost": memory.energy_pj_per_byte * width / 8,
        "area": 0,
        "latency": 1,
        "operands": [_OPERANDS[operand] for operand in operands],
        "ports": ports,
        "served_dimensions": [] if register else ["D1", "D2"],
    }


def _register_ports(moves: Sequence[str]) -> list[tuple[str, str, list[str]]]:
    """The ports of registers: one for each movement, so that no movement waits for another."""
    reads = [move for move in moves if move.endswith(("tl", "th"))]
    writes = [move for move in moves if move not in reads]
    return [
        *((f"r_port_{i}", "read", [move]) for i, move in enumerate(reads, 1)),
        *((f"w_port_{i}", "write", [move]) for i, move in enumerate(writes, 1)),
    ]


def _workload(sizes: Mapping[str, int], bits: Mapping[Operand, int]) -> dict[str, Any]:
    return {
        "id": 0,
        "name": "layer",
        "operator_type": "Gemm",
        "equation": "O[b][k]+=I[b][c]*W[c][k]",
        "dimension_relations": [],
        "loop_dims": ["B", "K", "C"],
        "loop_sizes": [sizes["t"], sizes["n"], sizes["k"]],
        "operand_precision": {
            "W": bits["filter"],
            "I": bits["input"],
            "O": bits["output"],
            "O_final": bits["input"],
        },
        "operand_source": {"I": 0, "W": 0},
    }


def _energies(
    cost: Any, levels: Sequence[tuple[str, AcceleratorMemory, tuple[Operand, ...]]], distinct: float
) -> Iterator[tuple[str, float]]:
    """(memory's name, picojoules) of each operand in each memory that serves it. distinct: the share of the
    written-out windows that is fetched from DRAM where a buffer keeps the rest.
    """
    from zigzag.hardware.architecture.memory_port import DataDirection

    found = {str(operand): moves for operand, moves in cost.mem_energy_breakdown_further.items()}
    for operand, name in _LAYER_OPERANDS.items():
        serving = [memory for _, memory, operands in levels if operand in operands]
        buffered = any(memory.role == "buffer" for memory in serving)
        for memory, moves in zip(serving, found[name], strict=True):
            fetches = {
                "buffer": (DataDirection.WR_IN_BY_HIGH,),
                "dram": (DataDirection.RD_OUT_TO_LOW,),
            }.get(memory.role, ())
            overlap = operand == "input" and buffered
            shares = {way: distinct if overlap and way in fetches else 1.0 for way in DataDirection}
            yield memory.memory, sum(float(moves.get(way)) * share for way, share in shares.items())
