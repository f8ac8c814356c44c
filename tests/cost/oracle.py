"""What a layer costs, worked out the slow way: operations are taken one by one, ports set by set.

Which instruction does an operation, and which sequence a site, is asked of the code: other tests check
these choices.
"""

from collections import Counter

from addercost.arithmetic import Arithmetic, OpClass
from addercost.cost.charges import many_at_once, one_at_a_time, or_polynomial
from addercost.cost.effective_rates import efficiency_of
from addercost.cost.layers import LayerKind
from addercost.cost.sequences import site_sequence
from addercost.cost.target import Target
from addercost.hardware import Form

WIDER = {
    "int8": ["int8", "int32", "int16", "int64"],
    "uint8": ["uint8", "int32", "int16", "int64", "int8"],
    "int16": ["int16", "int32", "int64"],
    "int32": ["int32", "int64"],
    "fp16": ["fp16", "fp32"],
    "bf16": ["bf16", "fp32"],
}
"""Formats that an accumulation of products of a format may be counted in, besides its own."""


class Pool:
    """Operations that are left to charge."""

    def __init__(self, counts) -> None:
        self.left = {(op_class, f): n for op_class, f, n in counts}

    def take(self, op_class: OpClass, formats: list[str], n: int) -> int:
        """Takes `n` operations one by one, the first format first; how many there were."""
        taken = 0
        for f in formats:
            while taken < n and self.left.get((op_class, f), 0):
                self.left[op_class, f] -= 1
                taken += 1
        return taken


BITS = {"fp64": "int64", "fp32": "int32", "fp16": "int16", "bf16": "int16"}
BITS |= dict.fromkeys(("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"), "int8")


def sum_up(kind: LayerKind, pool: Pool, sites) -> None:
    """The loops whose sites are found by their additions: as many as the layer has, while additions last."""
    left = kind.mac_sites
    formats = [f for op_class, f, _ in kind.counts if op_class is OpClass.ADD]
    integers = [f for f in formats if f.startswith(("int", "uint"))]
    floats = [f for f in formats if f in BITS]
    if kind.arithmetic == Arithmetic.TERNARY:
        formats = integers + [f for f in formats if f not in integers]
    elif kind.arithmetic == Arithmetic.LMUL:
        formats = floats + [f for f in formats if f not in floats]
    elif kind.arithmetic != Arithmetic.ADDER:
        return
    for f in formats:
        n = min(left, pool.left[OpClass.ADD, f])
        operands = "int8" if kind.arithmetic == Arithmetic.TERNARY and f == "int32" else f
        if not sites(kind.arithmetic, operands, n):
            continue
        left -= pool.take(OpClass.ADD, [f], n)
        if kind.arithmetic == Arithmetic.ADDER:
            pool.take(OpClass.ADD, WIDER.get(f, [f]), n)
            pool.take(OpClass.ABS, WIDER.get(f, [f]), n)
        elif kind.arithmetic == Arithmetic.TERNARY:
            pool.take(OpClass.LOGIC, ["ternary"], n)
        elif f in BITS:
            pool.take(OpClass.ADD, [BITS[f]], 2 * n)


def vector_executions(kind: LayerKind, target: Target, find=many_at_once):
    """[(instruction, times)] and the set of operations for which `find` has no figure."""
    pool, executed, lacking = Pool(kind.counts), [], set()
    summed = False

    def sites(arithmetic: Arithmetic, f: str, n: int) -> bool:
        sequence = site_sequence(target, arithmetic, f) if n else None
        for step in sequence.steps if sequence else ():
            executed.append((step.instruction, step.times * n / sequence.sites))
        return sequence is not None

    for op_class, f, n in kind.counts:
        formats = WIDER.get(f, [f])
        if op_class is OpClass.XNOR:
            bit_formats = [f]
            n = max(n, pool.left.get((OpClass.POPCOUNT, f), 0))
            if sites(Arithmetic.XNOR, f, n):
                pool.take(OpClass.XNOR, [f], n)
                pool.take(OpClass.POPCOUNT, bit_formats, n)
        elif op_class is OpClass.SHIFT and kind.arithmetic == Arithmetic.SHIFT:
            if sites(Arithmetic.SHIFT, f, n):
                pool.take(OpClass.SHIFT, [f], n)
                pool.take(OpClass.ADD, formats, n)
        elif op_class is OpClass.MUL:
            before = dict(pool.left)
            n = pool.take(OpClass.ADD, formats, n)
            pool.take(OpClass.MUL, [f], n)
            if not sites(Arithmetic.MAC, f, n):
                pool.left = before
        elif op_class is OpClass.LOOKUP and kind.arithmetic in (Arithmetic.LUT, Arithmetic.SHIFTADD):
            if sites(kind.arithmetic, f, n):
                pool.take(OpClass.LOOKUP, [f], n)
                pool.take(OpClass.ADD, ["int16"] if kind.arithmetic == Arithmetic.LUT else [f], n)
                if kind.arithmetic == Arithmetic.SHIFTADD:
                    pool.take(OpClass.SHIFT, [f], n)
        elif op_class is OpClass.ADD and not summed:
            summed = True
            sum_up(kind, pool, sites)
    for (op_class, f), n in pool.left.items():
        charge = find(target, op_class, f)
        if n and (charge is None or op_class is OpClass.POPCOUNT):
            lacking.add((op_class, f))
        elif n:
            executed.append((charge.instruction, n / charge.ops_per_instruction))
    return executed, lacking


def throughput_cycles(executed, target: Target) -> float:
    """The largest of every limit there is, over every set of ports."""
    if not executed:
        return 0
    limits = []
    if target.issue_width_uops:
        limits.append(sum(n * (row.uops or 1) for row, n in executed) / target.issue_width_uops)
    of_op, of_pool = Counter(), Counter()
    confined = Counter()
    for row, n in executed:
        of_op[row.op] += n * row.reciprocal_throughput_cycles
        if not row.ports:
            kind = ("fp", "bf") if row.op.startswith(("fp", "bf")) else ()
            pool = kind if row.form is Form.SCALAR else "matrices" if row.form is Form.MATRIX else "vectors"
            of_pool[pool] += n * row.reciprocal_throughput_cycles
        for group in row.ports.split("+") if row.ports else ():
            times, _, ports = group.rpartition("*")
            confined[frozenset(ports.split("|"))] += n * float(times or 1)
    limits += [*of_op.values(), *of_pool.values()]
    ports = sorted(set().union(*confined))
    # A set of ports is a number with a bit for each.
    needed = [(sum(1 << ports.index(port) for port in group), n) for group, n in confined.items()]
    for chosen in range(1, 1 << len(ports)):
        limits.append(sum(n for group, n in needed if not group & ~chosen) / chosen.bit_count())
    return max(limits)


def run_cycles(kind: LayerKind, target: Target, mode: str) -> tuple[float, bool]:
    """Arithmetic on all cores, then bytes, then kernels, one after the other."""
    reached = efficiency_of(target, mode)
    executed, lacking = vector_executions(kind, target, or_polynomial)
    cycles = throughput_cycles(executed, target) / reached.arithmetic_share / (target.cores or 1)
    if target.clock_hz is None or target.part_bandwidth_bytes_per_s is None:
        return cycles, False
    calls, n_bytes = getattr(kind.runs, mode)
    seconds = n_bytes / target.part_bandwidth_bytes_per_s / reached.bandwidth_share + calls * reached.call_s
    return cycles + seconds * target.clock_hz, not lacking


def cost(kind: LayerKind, target: Target, model: str) -> tuple[float, bool]:
    """(cycles, whether every figure is there) by the cost model of that name."""
    if model == "latency-sum":
        cycles, complete = 0.0, True
        for op_class, f, n in kind.counts:
            charge = one_at_a_time(target, op_class, f, target.preferred_float_form)
            complete &= charge is not None
            cycles += n * charge.instruction.latency_cycles if charge else 0
        return cycles, complete
    if model in ("eager", "fused"):
        return run_cycles(kind, target, model)
    executed, lacking = vector_executions(kind, target)
    cycles = throughput_cycles(executed, target)
    if model == "throughput":
        return cycles, not lacking
    if target.clock_hz is None or target.memory_bandwidth_bytes_per_s is None:
        return cycles, False
    seconds = kind.n_bytes / target.memory_bandwidth_bytes_per_s
    return max(cycles, seconds * target.clock_hz), not lacking
