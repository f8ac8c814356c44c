"""The inner loops that machines are measured by: which ones, what they compute, and that they assemble."""

import re
import shutil
import subprocess

import llvmlite.binding as llvm
import pytest

from addercost.arithmetic import Arithmetic
from addercost.kernels.cpu.ir import native
from addercost.measure.host import loop_rate
from addercost.measure.host.aarch64_instructions import aarch64_probes
from addercost.measure.host.aarch64_loops import aarch64_loops
from addercost.measure.host.amx_loops import amx_loops, tile_configuration, tile_loop_ir
from addercost.measure.host.chains import DEPENDENT, UNROLL, independent_chains, loop_ir
from addercost.measure.host.core_clock import ADDITIONS
from addercost.measure.host.loops import OPERAND_BYTES, inner_loop_ir, operands, vectors_of
from addercost.measure.host.mixes import mix_ir
from addercost.measure.host.probe import HostLoop, assembled
from addercost.measure.host.x86_instructions import x86_probes
from addercost.measure.host.x86_loops import x86_loops

AVX2 = {"avx2", "fma", "popcnt", "bmi2"}
ZEN4 = AVX2 | {
    "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni", "avx512vpopcntdq", "avx512bf16",
}  # fmt: skip
SAPPHIRE_RAPIDS = ZEN4 | {"avx512fp16", "amx-tile", "amx-int8", "amx-bf16"}
NEOVERSE_V1 = {"neon", "fullfp16", "dotprod", "bf16", "i8mm"}


def found(loops) -> dict[tuple[str, str, int], list]:
    by_kind: dict = {}
    for loop in loops:
        by_kind.setdefault((loop.arithmetic.value, loop.number_format, loop.bits), []).append(loop)
    return by_kind


@pytest.mark.parametrize(
    ("loops", "present", "absent"),
    [
        pytest.param(
            x86_loops(AVX2),
            {("mac", "fp32", 256), ("adder", "uint8", 256), ("xnor", "bool", 128), ("mac", "int8", 256)},
            {("mac", "fp32", 512), ("mac", "bf16", 256)},
            id="avx2",
        ),
        pytest.param(
            x86_loops(ZEN4),
            {(a, f, bits) for bits in (512, 256, 128) for a, f in (
                ("mac", "fp32"), ("mac", "fp64"), ("mac", "bf16"), ("mac", "int8"), ("mac", "int16"),
                ("adder", "fp32"), ("adder", "fp64"), ("adder", "uint8"), ("xnor", "bool"),
                ("shift", "int32"), ("shift", "fp32"),
            )},
            {("mac", "fp16", 512)},
            id="zen4",
        ),
        pytest.param(
            [*x86_loops(SAPPHIRE_RAPIDS), *amx_loops(SAPPHIRE_RAPIDS)],
            {("mac", "fp16", 512), ("adder", "fp16", 256), ("mac", "int8", 8192), ("mac", "bf16", 8192)},
            {("mac", "fp16", 8192)},
            id="sapphire-rapids",
        ),
        pytest.param(
            aarch64_loops({"neon"}),
            {("mac", "fp32", 128), ("adder", "fp32", 128), ("mac", "int8", 128), ("xnor", "bool", 128)},
            {("mac", "fp16", 128), ("mac", "bf16", 128)},
            id="neon",
        ),
        pytest.param(
            aarch64_loops(NEOVERSE_V1),
            {("mac", "fp16", 128), ("adder", "fp16", 128), ("mac", "bf16", 128), ("adder", "uint8", 128)},
            set(),
            id="neoverse-v1",
        ),
        pytest.param(x86_loops({"sse2"}), set(), {("mac", "fp32", 128)}, id="no-avx2"),
    ],
)  # fmt: skip
def test_loops_follow_the_machines_features(loops, present, absent):
    kinds = set(found(loops))
    assert present <= kinds
    assert not absent & kinds


ALL = [*x86_loops(AVX2), *x86_loops(SAPPHIRE_RAPIDS), *aarch64_loops(NEOVERSE_V1)]


@pytest.mark.parametrize("loop", ALL, ids=lambda loop: f"{loop.name}-{loop.bits}-{loop.inputs}")
def test_every_step_reads_inputs_weights_and_a_sum_and_fits_the_registers(loop):
    named = set(re.findall(r"\{(\w+)", " ".join(loop.steps)))
    assert {"s", "x", "w"} <= named <= {"s", "x", "w", "t", "u"} | {f"c{i}" for i in range(3)}
    assert {name for name in named if name.startswith("c")} == {f"c{i}" for i in range(len(loop.constants))}
    temporary = 2 * len(named & {"t", "u"})
    registers = 16 if "avx2" in AVX2 and loop.bits < 512 and loop.inputs < 7 else 32
    assert vectors_of(loop) + loop.inputs + 2 + temporary + len(loop.constants) <= registers
    # Sums enough for a latency of four cycles and one instruction a cycle.
    assert vectors_of(loop) >= 4


BITS = {
    "fp64": 64,
    "fp32": 32,
    "fp16": 16,
    "bf16": 16,
    "int32": 32,
    "int16": 16,
    "int8": 8,
    "uint8": 8,
    "bool": 1,
}


@pytest.mark.parametrize("loop", ALL, ids=lambda loop: f"{loop.name}-{loop.bits}-{loop.inputs}")
def test_a_vector_has_as_many_sites_as_numbers_of_its_format(loop):
    lanes = loop.bits // BITS[loop.number_format]
    # A matrix instruction combines each row of a register with each of another one: 2 × 2 products of rows. A
    # table takes four signs in each byte.
    share = {"matrix": 2, "tables": 4 / 8}.get(loop.name.rpartition("_")[2], 1)
    assert loop.sites == lanes * share


def x86_module(features: set[str]) -> str:
    loops = list(x86_loops(features))
    ir = "".join(inner_loop_ir(f"l{i}", loop) for i, loop in enumerate(loops))
    ir += "".join(tile_loop_ir(f"t{i}", loop) for i, loop in enumerate(amx_loops(features)))
    vector = [probe for probe in x86_probes(features) if probe.form == "vector"][:4]
    return ir + mix_ir("mix", (vector[0], vector[2]), (5, 3))


def loop_body(text: str, symbol: str, branch: str) -> str:
    """The assembly of a function from its loop's label to the branch back to it."""
    label, body = re.split(r"\n(\.LBB\d+_\d+):", text.split(f"\n{symbol}:")[1])[1:3]
    body, back, _ = body.partition(f"\t{branch}\t{label}")
    assert back
    return body


def x86_assembly(ir: str, core: str) -> str:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()
    module = llvm.parse_assembly(ir)
    module.verify()
    target = llvm.Target.from_triple("x86_64-unknown-linux-gnu")
    return target.create_target_machine(cpu=core, opt=3).emit_assembly(module)


@pytest.mark.parametrize(
    ("features", "core"),
    [(AVX2, "haswell"), (ZEN4, "znver4"), (SAPPHIRE_RAPIDS, "sapphirerapids")],
    ids=["avx2", "zen4", "amx"],
)
def test_every_x86_loop_assembles_and_no_sum_leaves_its_register(features, core):
    text = x86_assembly(x86_module(features), core)
    for i, loop in enumerate(x86_loops(features)):
        inside = loop_body(text, f"l{i}", "jb")
        mnemonic = loop.steps[-1].partition(" ")[0]
        assert inside.count(f"\t{mnemonic}\t") + inside.count(f"\t{mnemonic} ") >= vectors_of(loop)
        assert "(%rsp)" not in inside, f"{loop.name} of {loop.bits} bits keeps something in memory"
    for i, loop in enumerate(amx_loops(features)):
        inside = loop_body(text, f"t{i}", "jb")
        assert inside.count(f"{loop.text}\t") == 4
        assert inside.count("tileloadd\t") == 4


def test_a_mix_has_both_instructions_as_often_as_asked():
    probes = {probe.op: probe for probe in x86_probes(ZEN4) if probe.form == "vector"}
    ir = mix_ir("mix", (probes["fp32_add"], probes["fp32_fma"]), (7, 5))
    assert (ir.count("vaddps"), ir.count("vfmadd231ps")) == (7, 5)
    # An addition writes what nobody reads, a multiply-add runs on sums of its own.
    assert ir.count("phi <16 x float>") == 5


def llc() -> str:
    """LLVM's compiler, which assembles for other machines. llvmlite's can only for the one it runs on."""
    path = next(filter(None, map(shutil.which, ("llc-22", "llc-21", "llc-20", "llc-19", "llc"))), None)
    if path is None:
        pytest.fail("no llc: apt-get install llvm-22", pytrace=False)
    return path


@pytest.mark.exhaustive
def test_every_aarch64_loop_and_instruction_assembles():
    loops, probes = list(aarch64_loops(NEOVERSE_V1)), list(aarch64_probes(NEOVERSE_V1))
    ir = "".join(inner_loop_ir(f"l{i}", loop) for i, loop in enumerate(loops))
    for i, probe in enumerate(probes):
        ir += loop_ir(f"d{i}", probe, DEPENDENT) + loop_ir(f"i{i}", probe, independent_chains(probe))
    ir += mix_ir("mix", (probes[0], probes[2]), (5, 3))
    ir += loop_ir("clock", ADDITIONS["aarch64"], DEPENDENT)
    command = [llc(), "-mtriple=aarch64-linux-gnu", "-mattr=+fullfp16,+bf16,+dotprod,+i8mm", "-O3"]
    subprocess.run([*command, "-filetype=obj", "-o", "/dev/null"], input=ir, text=True, check=True)
    text = subprocess.run([*command, "-o", "-"], input=ir, text=True, check=True, capture_output=True).stdout
    for i, loop in enumerate(loops):
        inside = loop_body(text, f"l{i}", "b.lo")
        for step in loop.steps:
            mnemonic = step.partition(" ")[0]
            expected = sum(other.partition(" ")[0] == mnemonic for other in loop.steps) * vectors_of(loop)
            assert len(re.findall(rf"^\t{mnemonic}\t", inside, re.M)) >= expected, (loop.name, step)
        assert not re.search(r"\[sp", inside), f"{loop.name} keeps something in memory"
    for i, probe in enumerate(probes):
        mnemonic = probe.assembly.partition(" ")[0]
        inside = loop_body(text, f"d{i}", "b.lo")
        assert len(re.findall(rf"^\t{mnemonic}\t", inside, re.M)) >= UNROLL


def test_every_aarch64_loop_is_valid_ir_for_any_machine():
    ir = "".join(inner_loop_ir(f"l{i}", loop) for i, loop in enumerate(aarch64_loops(NEOVERSE_V1)))
    for i, probe in enumerate(aarch64_probes(NEOVERSE_V1)):
        ir += loop_ir(f"d{i}", probe, DEPENDENT)
    llvm.parse_assembly(ir).verify()


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param("vaddps {y}, {a}, {d}", "vaddps $2, $1, $0", id="x86"),
        pytest.param("fadd {d}.4s, {a}.4s, {y}.4s", "fadd $0.4s, $1.4s, $2.4s", id="lanes"),
        pytest.param("add {d:w}, {a:w}, {y:w}", "add ${0:w}, ${1:w}, ${2:w}", id="narrow-register"),
    ],
)
def test_operands_of_a_template_become_llvms(template, expected):
    assert assembled(template, {"d": 0, "a": 1, "y": 2}) == expected


@pytest.mark.parametrize("values", ["fp32", "fp64", "fp16", "bf16", "bytes", "shifts", "exponents", "powers"])
def test_operands_fill_their_memory(values):
    inputs, weights = operands(values, values)
    assert len(inputs) == len(weights) == OPERAND_BYTES
    assert inputs != weights


def test_the_configuration_of_tiles_is_what_the_manual_says():
    """LDTILECFG: palette 1 at byte 0, bytes a row from byte 16 in 16 bits each, rows from byte 48 in 8."""
    made = tile_configuration()
    assert len(made) == 64
    assert (made[0], made[1]) == (1, 0)
    assert [int.from_bytes(made[i : i + 2], "little") for i in range(16, 32, 2)] == [64] * 8
    assert list(made[48:56]) == [16] * 8
    assert not any(made[2:16]) and not any(made[32:48]) and not any(made[56:])


def test_a_loops_rate_is_its_sites_by_the_best_time(monkeypatch):
    """Two rounds of 16 steps of 16 sites in 40, 20 and 30 ns."""
    loop = HostLoop("mac", Arithmetic.MAC, "fp32", 512, 16, ("f {w}, {x}, {s}",), 8)
    seconds = iter([0.0, 0.0, 0.0, 40e-9, 1.0, 1.0, 1.0 + 20e-9, 2.0, 2.0, 2.0 + 30e-9, 9.0])
    monkeypatch.setattr(loop_rate, "ROUNDS", 2)
    monkeypatch.setattr(native, "host_features", frozenset)
    monkeypatch.setattr(loop_rate, "host_loops", lambda features: [loop])
    monkeypatch.setattr(loop_rate, "_compiled", lambda loop: lambda inputs, weights, n: None)
    loop_rate._loops_named.cache_clear()
    monkeypatch.setattr(loop_rate.time, "perf_counter", lambda: next(seconds))
    assert loop_rate.loop_sites_per_second("mac", 2.5) == pytest.approx(2 * 16 * 16 / 20e-9)
    with pytest.raises(KeyError):
        loop_rate.loop_sites_per_second("none")
    loop_rate._loops_named.cache_clear()


def test_the_limit_is_the_best_loop_of_the_arithmetic_that_the_machine_can_run(monkeypatch) -> None:
    """Without vpopcntd, signs are counted by bytes or looked up; a loop of other numbers is no limit."""
    rates = {"xnor_by_bytes": 3.0, "xnor_by_tables": 6.0, "mac": 1.0, "mac_fp64": 9.0, "mac_u8_widened": 5.0}
    monkeypatch.setattr(native, "host_features", lambda: frozenset({"avx2", "fma"}))
    monkeypatch.setattr(loop_rate, "bare_loop_sites_per_second", lambda loop, _: rates.get(loop.name, 0.5))
    loop_rate._loops_named.cache_clear()
    try:
        assert loop_rate.loop_sites_per_second("xnor", 1.0) == 6.0
        assert loop_rate.loop_sites_per_second("mac", 1.0) == 1.0
        assert loop_rate.loop_sites_per_second("mac_u8", 1.0) == 5.0
        with pytest.raises(KeyError):
            loop_rate.loop_sites_per_second("mac_bf16", 1.0)
    finally:
        loop_rate._loops_named.cache_clear()
