"""Device tables from devices.csv."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from toml_writing import literal, pairs, plain, read_rows, sources

# The table of each device's fastest cores, by how devices.csv names the core.
CORES = {
    "apple A16 P": "apple-m2-p",
    "new: rv64gc": "rocket-rv64",
    "new: esp32": "xtensa-lx6",
    "new: esp32-s3": "xtensa-lx7",
    "new: esp32-c3": "esp32-c3-rv32imc",
}
CORE_NOTES = {
    "apple A16 P": "the A16's core has no table: the M2's, of the generation before, stands in",
    "new: rv64gc": "the cores are of the Rocket generator; their floating-point unit is not in its table",
}
# How many of the fastest cores there are, where `cores_per_cluster` is more than one product.
COUNTS = {"radxa-orion-o6": 8, "nvidia-gb10": 10, "xeon-6980p": 128, "jetson-orin-nano-8gb": 6, "bpi-f3": 8}
FURTHER = {
    "radxa-orion-o6": "4 cortex-a520",
    "canmv-k230": "1 slower thead-c908",
    "nrf5340": "1 slower cortex-m33",
    "iphone-15": "4 efficiency cores",
    "macbook-air-m1": "4 efficiency cores",
    "macbook-air-m2": "4 efficiency cores",
    "macbook-air-m3": "4 efficiency cores",
    "macbook-air-m4": "6 efficiency cores",
}
ALL_ALIKE = ("jetson-agx-orin", "snapdragon-x-elite")
NAMES = {
    "jetson-nano (CPU)": "jetson-nano",
    "jetson-orin-nano-8gb (CPU)": "jetson-orin-nano-8gb",
    "jetson-agx-orin (CPU)": "jetson-agx-orin",
    "lichee-rv / mangopi mq-pro": "lichee-rv",
    "macbook-air-m4 / mac mini": "macbook-air-m4",
    "stm32u575 / u585": "stm32u575",
    "nvidia-gb10 (dgx spark)": "nvidia-gb10",
    "k210 (sipeed maix)": "k210",
    "snapdragon-8cx-gen3 laptop": "snapdragon-8cx-gen3",
    "snapdragon-x-elite laptop": "snapdragon-x-elite",
}
SERVERS = ("aws-", "ampere", "kunpeng", "epyc", "xeon", "milk-v-pioneer")
DESKTOPS = ("macbook", "ryzen", "core-", "nvidia-gb10", "snapdragon-8cx", "snapdragon-x")
MICROCONTROLLERS = ("stm32", "nrf", "arduino", "rp2", "esp32", "k210")
PHONES = ("galaxy", "iphone", "pixel")

# The memory of the largest version that is sold, which no column has: devices, bytes, title and page of the
# source.
_PI = ("Raspberry Pi documentation, computers, introduction", "https://github.com/raspberrypi/documentation")
MEMORY = {
    "raspberry-pi-zero-2-w": (512 << 20, *_PI),
    "raspberry-pi-3-b-plus": (1 << 30, *_PI),
    "raspberry-pi-4-b": (8 << 30, *_PI),
    "raspberry-pi-5": (16 << 30, *_PI),
    "iphone-15": (
        6 << 30,
        "argmaxinc/whisperkit-benchmarks, dashboard_data/iPhone.json: 6 GB, read as 2^30 bytes each",
        "https://huggingface.co/spaces/argmaxinc/whisperkit-benchmarks",
    ),
    "pixel-8": (
        8 << 30,
        "LineageOS/lineage_wiki, _data/devices/shiba.yml: 8 GB, read as 2^30 bytes each",
        "https://github.com/LineageOS/lineage_wiki",
    ),
}

# The name of a figure in `memory_fields`, and its key in a table.
FIELDS = {
    "bandwidth": ("memory_bandwidth_bytes_per_s",),
    "bus": ("memory_bandwidth_bytes_per_s",),
    "clock": ("sustained_clock_hz", "boost_clock_hz"),
    "clocks": ("sustained_clock_hz", "boost_clock_hz"),
    "clock_sustained": ("sustained_clock_hz",),
    "clock_boost": ("boost_clock_hz",),
    "cores": ("cores",),
    "l1d": ("l1d_bytes",),
    "l2": ("l2_bytes",),
    "l2/l3": ("l2_bytes", "last_level_cache_bytes"),
    "l3": ("last_level_cache_bytes",),
    "sram": ("sram_bytes",),
    "SRAM": ("sram_bytes",),
}
_REMEMBERED_BANDWIDTH = re.compile(r"([\d.]+) GB/s[^,;]*memory|([\d.]+) GB/s memory")


def write_devices(data: Path, folder: Path, dropped: Counter[str]) -> int:
    """One file per row of devices.csv; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = read_rows(data / "devices.csv")
    for row in rows:
        name = device_name(row["device"])
        (folder / f"{name}.toml").write_text(device_file(name, row, dropped), encoding="utf-8")
    return len(rows)


def device_name(text: str) -> str:
    plain_name = NAMES.get(text) or re.sub(r" \([^)]*\)$", "", text)
    return plain_name.replace(" ", "-")


def device_file(name: str, row: dict[str, str], dropped: Counter[str]) -> str:
    first, *others = [re.sub(r" \(.*?\)", "", core).strip() for core in row["core"].split(" + ")]
    count, further = core_counts(name, row["cores_per_cluster"], others)
    figures = device_figures(name, row)
    unconfirmed = unconfirmed_figures(row, figures | {"cores": count})
    if "memory_bandwidth_bytes_per_s" not in figures and (found := _remembered(row["note"])):
        figures["memory_bandwidth_bytes_per_s"] = found
        unconfirmed.append("memory_bandwidth_bytes_per_s")
    caveats = [CORE_NOTES[first]] if first in CORE_NOTES else []
    if row["note"]:
        caveats.append(row["note"])
    if row["status"] != "read" and not unconfirmed:
        dropped["devices whose status is not `read` and that do not say what is remembered"] += 1
    text = pairs(
        {
            "schema": 1,
            "kind": "device",
            "title": row["device"],
            "soc": row["soc"],
            "device_class": device_class(name),
            "core": CORES.get(first, first),
            "cores": count,
            "further_cores": further,
            "source": "devices",
            **figures,
            **({"memory_bytes": MEMORY[name][0], "memory_source": "memory"} if name in MEMORY else {}),
            "unconfirmed": list(dict.fromkeys(unconfirmed)),
        }
    )
    if caveats:
        text += "caveats = [\n" + "".join(f"  {literal(caveat)},\n" for caveat in caveats) + "]\n"
    cited = {"devices": {"title": row["source"], "licence": "facts"}}
    if name in MEMORY:
        _, title, url = MEMORY[name]
        cited["memory"] = {"title": title, "licence": "single cited figures", "url": url}
    return text + sources(cited)


def core_counts(name: str, text: str, others: list[str]) -> tuple[int, str]:
    """(how many of the fastest cores there are, words for the other cores)."""
    clusters = text.split("+")
    if name in FURTHER:
        return COUNTS.get(name) or _product(clusters[0]), FURTHER[name]
    if not others or name in ALL_ALIKE:
        return COUNTS.get(name) or sum(map(_product, clusters)), ""
    first = COUNTS.get(name) or _product(clusters[0])
    full = [f"cortex-{core}" if core.startswith("a") else core for core in others]
    named = [f"{_product(n)} {core}" for n, core in zip(clusters[1:], full, strict=False)]
    return first, ", ".join(named)


def _product(text: str) -> int:
    result = 1
    for factor in text.split("x"):
        result *= int(factor)
    return result


def device_figures(name: str, row: dict[str, str]) -> dict[str, int | float]:
    one_core = None
    if row["stream_one_core_bytes_per_s"]:
        one_core = float(row["stream_one_core_bytes_per_s"])
    elif row["memcpy_one_core_bytes_per_s"]:
        # A copy reads and writes every byte.
        one_core = 2 * float(row["memcpy_one_core_bytes_per_s"])
    last = "sram_bytes" if device_class(name) == "microcontroller" else "last_level_cache_bytes"
    cells = {
        "sustained_clock_hz": row["clock_sustained_hz"],
        "boost_clock_hz": row["clock_boost_hz"],
        "memory_bandwidth_bytes_per_s": row["memory_bandwidth_bytes_per_s"],
        "core_memory_bandwidth_bytes_per_s": one_core,
        "l1d_bytes": row["l1d_bytes"],
        "l2_bytes": row["l2_bytes"],
        last: row["l3_or_sram_bytes"],
    }
    return {key: plain(str(cell)) for key, cell in cells.items() if cell not in ("", None)}


def unconfirmed_figures(row: dict[str, str], figures: dict[str, int | float]) -> list[str]:
    if row["memory_fields"] == "all":
        return list(figures)
    words = row["memory_fields"].split()
    return [key for word in words for key in FIELDS.get(word, ()) if key in figures]


def _remembered(note: str) -> int | None:
    """A bandwidth that the note gives without a source."""
    match = _REMEMBERED_BANDWIDTH.search(note)
    return round(float(match[1] or match[2]) * 1e9) if match else None


def device_class(name: str) -> str:
    for prefixes, found in (
        (SERVERS, "server"),
        (DESKTOPS, "desktop"),
        (MICROCONTROLLERS, "microcontroller"),
        (PHONES, "phone"),
    ):
        if name.startswith(prefixes):
            return found
    return "board"
