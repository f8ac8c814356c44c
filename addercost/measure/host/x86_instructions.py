"""The instructions that `addercost calibrate` measures on x86-64. The destination comes last (AT&T)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from addercost.hardware.vocabulary import Form
from addercost.measure.host.probe import Probe


@dataclass(frozen=True, slots=True)
class _Template:
    op: str
    mnemonic: str
    element: str
    needs: str = ""
    accumulates: bool = False
    element_bits: int = 32
    operand: str = "{y}"


# Vector instructions, three operands, AT&T order as LLVM's inline assembly takes it.
_X86_VECTOR = (
    _Template("fp32_add", "vaddps", "float"),
    _Template("fp32_mul", "vmulps", "float"),
    _Template("fp32_fma", "vfmadd231ps", "float", "fma", accumulates=True),
    _Template("fp32_div", "vdivps", "float"),
    _Template("fp32_max", "vmaxps", "float"),
    _Template("fp32_abs", "vandps", "float", "avx512dq"),
    _Template("fp64_add", "vaddpd", "double", element_bits=64),
    _Template("fp64_mul", "vmulpd", "double", element_bits=64),
    _Template("fp64_fma", "vfmadd231pd", "double", "fma", accumulates=True, element_bits=64),
    _Template("fp64_div", "vdivpd", "double", element_bits=64),
    _Template("fp64_max", "vmaxpd", "double", element_bits=64),
    _Template("int32_add", "vpaddd", "i32"),
    _Template("int32_mul", "vpmulld", "i32"),
    _Template("int8_add", "vpaddb", "i32", "avx512bw", element_bits=8),
    _Template("int16_add", "vpaddw", "i32", "avx512bw", element_bits=16),
    _Template("uint8_max", "vpmaxub", "i32", "avx512bw", element_bits=8),
    _Template("uint8_sad", "vpsadbw", "i32", "avx512bw", element_bits=8),
    _Template("int8_maddubs", "vpmaddubsw", "i32", "avx512bw", element_bits=8),
    _Template("int16_madd", "vpmaddwd", "i32", "avx512bw", element_bits=16),
    _Template("int8_dot", "vpdpbusd", "i32", "vnni", accumulates=True),
    _Template("int16_dot", "vpdpwssd", "i32", "vnni", accumulates=True),
    _Template("bf16_dot", "vdpbf16ps", "i32", "avx512bf16", accumulates=True),
    _Template("xor", "vpxor", "i32"),
    _Template("shift_var", "vpsllvd", "i32"),
    _Template("shift_imm", "vpslld", "i32", operand="$$3"),
)
_X86_VECTOR_UNARY = (
    _Template("int8_abs", "vpabsb", "i32", "avx512bw", element_bits=8),
    _Template("int32_popcount", "vpopcntd", "i32", "avx512vpopcntdq"),
)
_X86_SCALAR_FLOAT = (
    _Template("fp32_add", "vaddss", "float"),
    _Template("fp32_mul", "vmulss", "float"),
    _Template("fp32_fma", "vfmadd231ss", "float", "fma", accumulates=True),
    _Template("fp32_div", "vdivss", "float"),
    _Template("fp32_max", "vmaxss", "float"),
    _Template("fp64_add", "vaddsd", "double", element_bits=64),
    _Template("fp64_mul", "vmulsd", "double", element_bits=64),
    _Template("fp64_fma", "vfmadd231sd", "double", "fma", accumulates=True, element_bits=64),
    _Template("fp64_div", "vdivsd", "double", element_bits=64),
    _Template("fp64_max", "vmaxsd", "double", element_bits=64),
)
_X86_GENERAL = (
    ("int32_add", 32, "addl {y}, {d}"),
    ("int64_add", 64, "addq {y}, {d}"),
    ("int32_mul", 32, "imull {y}, {d}"),
    ("int64_mul", 64, "imulq {y}, {d}"),
    ("and", 32, "andl {y}, {d}"),
    ("xor", 32, "xorl {y}, {d}"),
    ("shift_imm", 32, "shll $$3, {d}"),
)
# With AVX-512 these instructions have other names.
_EVEX_NAMES = {"vpxor": "vpxord"}


def x86_probes(features: Collection[str]) -> Iterator[Probe]:
    """The probes that an x86-64 machine with these features (LLVM's names) can run."""
    if "avx2" not in features:
        return
    bits = 512 if "avx512f" in features else 256
    for template in (*_X86_VECTOR, *_X86_VECTOR_UNARY):
        if not _can(template.needs, bits, features):
            continue
        mnemonic = _EVEX_NAMES.get(template.mnemonic, template.mnemonic) if bits == 512 else template.mnemonic
        if template in _X86_VECTOR_UNARY:
            assembly = f"{mnemonic} {{a}}, {{d}}"
        elif template.accumulates:
            assembly = f"{mnemonic} {{y}}, {{z}}, {{d}}"
        elif template.operand.startswith("$"):
            assembly = f"{mnemonic} {template.operand}, {{a}}, {{d}}"
        else:
            assembly = f"{mnemonic} {{y}}, {{a}}, {{d}}"
        lanes = bits // template.element_bits
        yield _probe(template.op, Form.VECTOR, bits, lanes, assembly, template.element, template.accumulates)
    for template in _X86_SCALAR_FLOAT:
        if _can(template.needs, 128, features):
            operands = "{y}, {z}, {d}" if template.accumulates else "{y}, {a}, {d}"
            assembly, width = f"{template.mnemonic} {operands}", template.element_bits
            yield _probe(template.op, Form.SCALAR, width, 1, assembly, template.element, template.accumulates)
    for op, width, assembly in _X86_GENERAL:
        yield _probe(op, Form.SCALAR, width, 1, assembly, f"i{width}", accumulates=True)
    if "popcnt" in features:
        yield _probe("int32_popcount", Form.SCALAR, 32, 1, "popcntl {a}, {d}", "i32")
        yield _probe("int64_popcount", Form.SCALAR, 64, 1, "popcntq {a}, {d}", "i64")
    if "bmi2" in features:
        yield _probe("shift_var", Form.SCALAR, 32, 1, "shlxl {y}, {a}, {d}", "i32")


def _probe(
    op: str, form: Form, bits: int, lanes: int, assembly: str, element: str, accumulates: bool = False
) -> Probe:
    mnemonic, _, operands = assembly.partition(" ")
    general = form is Form.SCALAR and element.startswith("i")
    register = f"r{bits}" if general else {512: "zmm", 256: "ymm"}.get(bits, "xmm")
    named = re.sub(r"\{[dayz]\}", register, operands).replace("$$", "")
    text = f"{mnemonic} {', '.join(reversed(named.split(', ')))}"
    return Probe(op, form, bits, lanes, assembly, element, text, accumulates)


def _can(needs: str, bits: int, features: Collection[str]) -> bool:
    """Whether the machine has the instruction. Byte and word instructions need AVX-512BW only at 512 bits;
    AVX2 has them at 256.
    """
    if needs == "vnni":
        return "avx512vnni" in features if bits == 512 else "avxvnni" in features
    if needs in ("avx512bw", "avx512dq") and bits < 512:
        return True
    return not needs or needs in features
