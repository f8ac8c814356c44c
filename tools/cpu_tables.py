"""CPU tables from cycles.csv and cpus.csv."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from cited_figures import Block, CitedFigures, Row, completed, differences, key, read_cited_figures
from port_sets import PortSets, read_port_sets
from toml_writing import literal, pairs, plain, read_rows, sources

LLVM_LICENCE = "Apache-2.0 WITH LLVM-exception"
LLVM_URL = "https://github.com/llvm/llvm-project"

OPS = {
    "x87_abs": "fp80_abs",
    "x87_add": "fp80_add",
    "x87_mul": "fp80_mul",
    "popcnt": "int32_popcount",
    "popcnt64": "int64_popcount",
    "popcnt8": "int8_popcount",
    "uint8x4_sad": "uint8_sad_acc",
    "uint8_addlp_acc": "uint8_pair_add_acc",
    "pshufb": "shuffle",
}
# psadbw sums within the instruction and does not accumulate; the Arm instructions listed beside it
# accumulate |a - b| lane by lane. They are different operations and get different names.
ARM_OPS = {"sad_u8": "uint8_absdiff_acc_long", "sad_u8_hi": "uint8_absdiff_acc_long_high"}
X86_OPS = {"sad_u8": "uint8_sad"}
FORMS = {"rvv_m1": "rvv", "sve2": "sve"}

# The published comparison (multiplication 4, addition 2) uses the x87 figures of this processor.
PREFERRED_FLOAT_FORM = {"via-nano-2000": "x87"}

CAVEATS = {
    "via-nano-2000": [
        "4 and 2 cycles are x87 FMUL and FADD; single-precision SSE takes 3 and 2 to 3, one each cycle",
        "multiplication issues on port MA; addition, subtraction and the mask of |x| all issue on port MB",
    ],
    "spacemit-x60": ["the matrix extension is on cores 0 to 3; the other four have none"],
}

# The two sheets write I12 for "I1 or I2", and MBfadd for the adder inside MB. Other work of MB waits for that
# adder as well.
VIA_PORTS = {"I12": "I1|I2", "MBfadd": "MB", "MA": "MA", "MB": "MB", "I2": "I2"}

COLUMNS = (
    "op",
    "form",
    "vector_bits",
    "lanes",
    "latency_cycles",
    "latency_low_cycles",
    "latency_high_cycles",
    "reciprocal_throughput_cycles",
    "uops",
    "ports",
    "instruction",
)


def write_cpus(data: Path, folder: Path, dropped: Counter[str], llvm_mca: str | None) -> int:
    """One file per CPU of cycles.csv; returns how many."""
    cycles: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(data / "cycles.csv"):
        cycles.setdefault(row["cpu_id"], []).append(row)
    identities = {row["cpu_id"]: row for row in read_rows(data / "cpus.csv")}
    cited = read_cited_figures()
    dropped["CPU launch years: unconfirmed"] = len(identities)
    dropped["CPUs without a row of cycles.csv"] = len(identities.keys() - cycles.keys())
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in cycles.items():
        port_sets = read_port_sets(llvm_mca, rows) if llvm_mca else None
        text = cpu_file(name, identities[name], rows, cited, port_sets, dropped)
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return len(cycles)


def cpu_file(
    name: str,
    identity: dict[str, str],
    rows: list[dict[str, str]],
    cited: CitedFigures,
    port_sets: PortSets | None,
    dropped: Counter[str],
) -> str:
    used: dict[str, dict[str, str]] = {}
    blocks: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        id_, source = instruction_source(row)
        used[id_] = source
        figures = instruction_row(row, port_sets, dropped)
        blocks.setdefault((id_, row["quality"]), []).append(figures)
    corrections = without_impossible_divisions(blocks, used, dropped)
    blocks, cited_corrections = with_cited(cited.blocks.get(name, []), blocks, used)
    corrections += cited_corrections
    part = part_table(identity, dropped)
    if part:
        corrected = dict(cited.parts.get(name, {}))
        why = corrected.pop("source", "")
        part |= corrected
        used["specification"] = {
            "title": f"Published specification of {part['name']}, the page was not recorded"
            + (f"; {', '.join(corrected)}: {why}" if why else ""),
            "licence": "facts",
        }
    if port_sets:
        used["llvm-ports"] = {
            "title": f"{port_sets.version} scheduling model of {port_sets.core}: ports and issue width",
            "licence": LLVM_LICENCE,
            "url": LLVM_URL,
        }
    width = int(identity["max_vector_bits"]) if identity["max_vector_bits"] else None
    text = pairs(
        {
            "schema": 1,
            "kind": "cpu",
            "title": identity["name"],
            "vendor": identity["vendor"],
            "isa": identity["isa"],
            "max_vector_bits": width,
            "issue_width_uops": port_sets.issue_width_uops if port_sets else None,
            "preferred_float_form": PREFERRED_FLOAT_FORM.get(name),
        }
    )
    for key_, texts in (("caveats", CAVEATS.get(name)), ("corrections", corrections)):
        if texts:
            text += f"{key_} = [\n" + "".join(f"  {literal(text_)},\n" for text_ in texts) + "]\n"
    if part:
        text += "\n[part]\n" + pairs(part | {"source": "specification", "quality": "specification"})
    text += sources(used)
    for (source_id, quality), figures_list in blocks.items():
        text += f"\n[[instructions]]\n{pairs({'source': source_id, 'quality': quality})}"
        text += f"table = '''\n{aligned(figures_list)}'''\n"
    return text


Blocks = dict[tuple[str, str], list[Row]]
"""The rows of each source and quality, in the order in which they are written."""

ASSUMED_DIVIDER = {
    "title": "Assumed: one division at a time, for as long as its latency; the scheduling model's rate is "
    "impossible and no other figure was found",
    "licence": "own assumption",
}


def without_impossible_divisions(
    blocks: Blocks, used: dict[str, dict[str, str]], dropped: Counter[str]
) -> list[str]:
    """Removes divisions of which a model executes more than one a cycle, since no divider can.

    Where an operation has no other rate, its latency is used in place of it, as an assumption. Returns notes
    on the changes for the table.
    """
    corrections = []
    for (source, quality), rows in list(blocks.items()):
        impossible = [row for row in rows if is_impossible(row)]
        for row in impossible:
            dropped["divisions of which a model executes more than one a cycle"] += 1
            what = f"{row['op']} ({row['form']} {row['vector_bits']})"
            text = f"{what}: {row['reciprocal_throughput_cycles']} cycles each in the scheduling model"
            others = [other for other in rows if other["op"] == row["op"] and not is_impossible(other)]
            if not others:
                latency = row["latency_cycles"]
                assumed = {name: row[name] for name in row if name not in ("ports", "uops")}
                blocks.setdefault(("assumed", quality), []).append(
                    assumed | {"reciprocal_throughput_cycles": latency}
                )
                used["assumed"] = ASSUMED_DIVIDER
                text += f", which no divider reaches: {latency} assumed"
            else:
                text += ", which no divider reaches: left out"
            corrections.append(text)
        blocks[source, quality] = [row for row in rows if row not in impossible]
    return corrections


def is_impossible(row: Row) -> bool:
    divides = str(row["op"]).endswith(("_div", "_sqrt"))
    return divides and float(str(row["reciprocal_throughput_cycles"])) < 1


def with_cited(
    cited: list[Block], blocks: Blocks, used: dict[str, dict[str, str]]
) -> tuple[Blocks, list[str]]:
    """(the blocks with cited ones first, texts on figures of the scheduling model that differ)."""
    known = {key(row): row for (_, quality), rows in blocks.items() if quality == "model" for row in rows}
    first: Blocks = {}
    corrections = []
    for block in cited:
        used[block.id] = block.source
        first[block.id, block.quality] = [completed(row, known.get(key(row))) for row in block.rows]
        changed = differences(block.rows, known)
        if changed:
            corrections.append(f"from [{block.id}] instead of the scheduling model: {'; '.join(changed)}")
    return first | blocks, corrections


def aligned(rows: list[Row]) -> str:
    """Lines with the columns that occur, aligned by blanks; `-` where a row has no figure."""
    columns = [c for c in COLUMNS if any(c in row for row in rows)]
    lines = [columns, *([str(row.get(c, "-")) for c in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )


def instruction_source(row: dict[str, str]) -> tuple[str, dict[str, str]]:
    """(the id, the entry) of the source that a row of cycles.csv names."""
    text = row["source"]
    if text.startswith("LLVM"):
        core = text.partition(" via ")[2]
        version = text.partition(" scheduling")[0]
        return "llvm", {
            "title": f"{version} scheduling model, {core}",
            "licence": LLVM_LICENCE,
            "url": LLVM_URL,
        }
    if text.startswith("github.com/camel-cdr"):
        repository, page = text.split(" ", 1)
        table = page.split("(table ")[1].rstrip(")")
        entry = {
            "title": f"rvv-bench results, {page}",
            "licence": row["licence"],
            "url": f"https://{repository}",
        }
        return f"rvv-bench-{table.lower()}", entry
    if text.startswith("Agner Fog"):
        entry = {"title": text, "licence": row["licence"], "url": "https://www.agner.org/optimize/"}
        return "agner-fog", entry
    raise ValueError(f"no source entry for {text!r}")


def instruction_row(
    row: dict[str, str], port_sets: PortSets | None, dropped: Counter[str]
) -> dict[str, object]:
    op, form = row["op"], FORMS.get(row["form"], row["form"])
    renames = OPS | (X86_OPS if row["isa"] == "x86-64" else ARM_OPS)
    if op.startswith("x87_"):
        form = "x87"
    lanes = int(row["lanes"])
    if op == "int16x2_madd":
        # smlad adds two products to one 32-bit accumulator: the same operation as a one-lane int16_dot.
        op, lanes = "int16_dot", 1
    figures: dict[str, object] = {
        "op": renames.get(op, op),
        "form": form,
        "vector_bits": int(row["vector_bits"]),
        "lanes": lanes,
        "reciprocal_throughput_cycles": plain(row["recip_throughput_cycles"]),
        "instruction": row["instruction"],
    }
    if row["latency_cycles"]:
        figures["latency_cycles"] = plain(row["latency_cycles"])
        if row["latency_lo"] != row["latency_hi"]:
            figures["latency_low_cycles"] = plain(row["latency_lo"])
            figures["latency_high_cycles"] = plain(row["latency_hi"])
    if row["rthr_lo"] != row["rthr_hi"]:
        raise ValueError(f"a range of reciprocal throughput: {row}")
    if row["uops"]:
        figures["uops"] = int(row["uops"])
    if row["vendor"] == "VIA":
        figures["ports"] = VIA_PORTS[row["ports"]]
    elif row["ports"]:
        ports = port_sets.ports(row, dropped) if port_sets else None
        if ports:
            figures["ports"] = ports
        else:
            dropped["port lists of scheduling models: a sample of the ports in use, not the set of them"] += 1
    return figures


def part_table(identity: dict[str, str], dropped: Counter[str]) -> dict[str, object]:
    """The [part] table: the figures that the named product's page gives unambiguously."""
    name = identity["typical_part"].partition("@")[0]
    if not name:
        if identity["l1d_per_core"] or identity["l3_or_cache"]:
            dropped["caches of a CPU without a named part"] += 1
        return {}
    l2 = identity["l2"]
    per_core = "kB" in l2 or l2 == "1.00 MB"
    if l2 and not per_core:
        dropped["second-level cache sizes: total or per core is not said"] += 1
    cache = identity["l3_or_cache"]
    if identity["cpu_id"] == "intel-skylake-x":
        # 27.5 MB belongs to a 20-core server part, not to the part named.
        cache = ""
        dropped["cache sizes that are not the named part's"] += 1
    bandwidth = re.match(r"[\d.]+", identity["mem_bandwidth"])
    return {
        "name": name,
        "base_clock_hz": hertz(identity["base_clock"]),
        "boost_clock_hz": hertz(identity["boost_clock"]),
        "cores": int(identity["cores"]) if identity["cores"] else None,
        "l1d_bytes_per_core": size(identity["l1d_per_core"]),
        "l2_bytes_per_core": size(l2) if per_core else None,
        "last_level_cache_bytes": size(cache),
        "memory_bandwidth_bytes_per_s": round(float(bandwidth[0]) * 1e9) if bandwidth else None,
    }


def hertz(text: str) -> int | None:
    return round(float(text.replace("GHz", "")) * 1e9) if text else None


def size(text: str) -> int | None:
    match = re.match(r"([\d.]+) ?(kB|MB)", text)
    return round(float(match[1]) * {"kB": 1 << 10, "MB": 1 << 20}[match[2]]) if match else None
