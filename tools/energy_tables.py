"""Energy tables from energy.csv: one file per process node or technology."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from toml_writing import inline_tables, pairs, plain, read_rows, sources

TITLES = {
    "45nm": ("45 nm ASIC, 0.9 V", "ASIC"),
    "40nm": ("40 nm ASIC, commercial library, by clock period", "ASIC"),
    "7nm": ("7 nm ASIC", "ASIC"),
    "fpga": ("FPGA", "FPGA"),
}
SOURCES = {
    "horowitz-2014": {
        "title": "M. Horowitz, Computing's energy problem, ISSCC 2014, as quoted in later work",
        "licence": "single cited figures",
    },
    "qkeras": {
        "title": "google/qkeras, qtools/config_public.py",
        "licence": "Apache-2.0",
        "url": "https://github.com/google/qkeras",
    },
    "shiftaddllm": {
        "title": "GATECH-EIC/ShiftAddLLM, energy/hw_utils.py",
        "licence": "single cited figures",
        "url": "https://github.com/GATECH-EIC/ShiftAddLLM",
    },
    "jouppi-2021": {
        "title": "N. Jouppi et al., ISCA 2021 (TPUv4i), 7 nm column, as quoted in later work",
        "licence": "single cited figures",
    },
    "bittransgnn": {
        "title": "koc-lab/BitTransGNN, bittransgnn_calcs/bittransgnn_energy_calc.py, quoting N. Jouppi et "
        "al., ISCA 2021 (TPUv4i), 7 nm column",
        "licence": "single cited figures",
        "url": "https://github.com/koc-lab/BitTransGNN",
    },
    "accelergy-aladdin": {
        "title": "Accelergy-Project/accelergy-aladdin-plug-in, data (Aladdin, commercial 40 nm library)",
        "licence": "single cited figures",
        "url": "https://github.com/Accelergy-Project/accelergy-aladdin-plug-in",
    },
    "arxiv-2101-10015": {
        "title": "AdderNet and its Minimalist Hardware Design, arXiv:2101.10015, abstract",
        "licence": "single cited figures",
        "url": "https://arxiv.org/abs/2101.10015",
    },
}
SOURCE_IDS = {
    "Horowitz": "horowitz-2014",
    "google/qkeras": "qkeras",
    "GATECH-EIC": "shiftaddllm",
    "Jouppi": "jouppi-2021",
    "Accelergy": "accelergy-aladdin",
    "AdderNet and its": "arxiv-2101-10015",
}
QUALITY = "published"
# Rows of energy.csv that were written from memory, but are confirmed by a work that quotes the same table.
QUOTED_ELSEWHERE = {
    ("7nm", "add", "int8"): "bittransgnn",
    ("7nm", "add", "int32"): "bittransgnn",
    ("7nm", "mul", "int32"): "bittransgnn",
}
MEMORIES = {
    "cache read 8KB": "sram 8 KiB",
    "cache read 32KB": "sram 32 KiB",
    "cache read 1MB": "sram 1 MiB",
    "DRAM read": "dram",
    "DRAM": "dram, per 16-bit word",
    "GDDR6 access": "gddr6",
    "global buffer": "global buffer",
    "NoC ifmap/weight": "on-chip network, input or weight",
    "NoC psum": "on-chip network, partial sum",
    "register file": "register file",
}
# The areas of fp32 multiplication equal those of addition in each row, so they were probably copied by
# mistake.
SUSPECTED_COPY = "areas equal"
CAVEATS = {
    "7nm": [
        "the integer additions and the int32 multiplication stand in one later work, whose other figures of "
        "this column are those quoted elsewhere"
    ],
    "40nm": ["a figure for each clock period; the slowest is used unless another is named"],
    "fpga": ["published savings of whole designs; no energy for a single operation could be confirmed"],
}


def write_energy(data: Path, folder: Path, dropped: Counter[str]) -> int:
    files: dict[str, list[dict[str, str]]] = {name: [] for name in TITLES}
    for row in read_rows(data / "energy.csv"):
        if row["status"] != "seen" and quoted(row) is None:
            dropped["energy rows whose figure no source was seen for"] += 1
        elif not any(row["source"].startswith(start) for start in SOURCE_IDS):
            dropped["energy rows quoted from an unnamed place"] += 1
        elif row["kind"] == "relative":
            files["fpga" if row["technology"] == "FPGA" else "45nm"].append(row)
        elif row["node"] == "45nm" and row["source"].startswith("GATECH") and row["op"] in ("mul", "add"):
            dropped["45 nm energies that repeat Horowitz's"] += 1
        else:
            files[row["node"]].append(row)
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        (folder / f"{name}.toml").write_text(energy_file(name, rows, dropped), encoding="utf-8")
    return len(files)


def quoted(row: dict[str, str]) -> str | None:
    """The source that confirms a row written from memory."""
    return QUOTED_ELSEWHERE.get((row["node"], row["op"], row["operand"]))


def energy_file(name: str, rows: list[dict[str, str]], dropped: Counter[str]) -> str:
    operations: list[dict[str, object]] = []
    memories: list[dict[str, object]] = []
    fits: list[dict[str, object]] = []
    relative: list[dict[str, object]] = []
    used: dict[str, dict[str, str]] = {}
    for row in rows:
        id_ = quoted(row) or next(i for start, i in SOURCE_IDS.items() if row["source"].startswith(start))
        used[id_] = SOURCES[id_]
        if row["kind"] == "relative":
            relative += relative_rows(row, id_)
        elif row["op"].endswith("(fit)"):
            if row["kind"] == "memory":
                memories.append(memory_row("dram, per bit", 1, row["energy_pj"], id_))
            else:
                fits.append(fit_row(row, id_))
        elif row["kind"] == "memory":
            bits = int(re.match(r"(\d+)-bit", row["operand"])[1])  # type: ignore[index]
            memories.append(memory_row(MEMORIES[row["op"]], bits, row["energy_pj"], id_))
        else:
            operations.append(operation_row(row, id_, dropped))
    text = pairs(
        {
            "schema": 1,
            "kind": "energy",
            "title": TITLES[name][0],
            "technology": TITLES[name][1],
            "caveats": CAVEATS.get(name, []),
        }
    )
    text += inline_tables("operations", operations) + inline_tables("fits", fits)
    text += inline_tables("memories", memories) + inline_tables("relative", relative)
    return text + sources(used)


def operation_row(row: dict[str, str], id_: str, dropped: Counter[str]) -> dict[str, object]:
    area = plain(row["area_um2"]) if row["area_um2"] else None
    if area and row["note"].find(SUSPECTED_COPY) >= 0:
        area = None
        dropped["40 nm areas of fp32 multiplication: a copy of addition's"] += 1
    period = re.match(r"cycle ([\d.]+) ns", row["note"])
    return {
        "op": row["op"],
        "number_format": row["operand"].replace("1 bit", "bit"),
        "energy_pj": plain(row["energy_pj"]) if row["energy_pj"] else None,
        "area_um2": area,
        "clock_period_ns": plain(period[1]) if period else None,
        "quality": "model" if period else QUALITY,
        "source": id_,
    }


def memory_row(memory: str, bits: int, cell: str, id_: str) -> dict[str, object]:
    # "6*3.7=22.2" is six register accesses of 3.7 pJ: the source's own arithmetic.
    low, _, high = cell.rpartition("=")[2].partition("-")
    figures = (
        {"energy_low_pj": plain(low), "energy_high_pj": plain(high)} if high else {"energy_pj": plain(low)}
    )
    return {"memory": memory, "access_bits": bits, **figures, "quality": QUALITY, "source": id_}


def fit_row(row: dict[str, str], id_: str) -> dict[str, object]:
    """The coefficients, from the constant upwards, of `0.003125*N` or `0.0029947*N^2+0.0010416*N`."""
    coefficients = [0.0, 0.0, 0.0]
    for term in row["energy_pj"].split("+"):
        factor, _, power = term.partition("*N")
        coefficients[int(power.lstrip("^") or 1)] = float(factor)
    while not coefficients[-1]:
        coefficients.pop()
    return {"op": row["op"].split()[0], "coefficients_pj": coefficients, "quality": QUALITY, "source": id_}


def relative_rows(row: dict[str, str], id_: str) -> list[dict[str, object]]:
    found = []
    for cell in (row["energy_pj"], row["area_um2"]):
        match = re.search(r"~?([\d.]+)(?:-([\d.]+))?% less ?(.*)", cell)
        if match:
            quantity = match[3].strip(" ()") or "energy"
            low, high = float(match[1]), float(match[2] or match[1])
            found.append(
                {
                    "claim": row["op"],
                    "quantity": quantity if quantity != "theoretical" else "logic, in theory",
                    "saving_low_fraction": round(low / 100, 6),
                    "saving_high_fraction": round(high / 100, 6),
                    "source": id_,
                }
            )
    return found
