"""`addercost hardware`: what each command prints and how it fails."""

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import addercost
from addercost.cli.hardware import hardware
from addercost.errors import AddercostError
from addercost.hardware.loader import FOLDERS

TABLES = Path(addercost.__file__).parent / "hardware"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(hardware, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def rows(*arguments: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(run(*arguments, "--format", "csv"))))


def test_list_starts_with_kind_and_name():
    listed = rows("list")
    assert list(listed[0])[:2] == ["kind", "name"]
    kinds = [row["kind"] for row in listed]
    files = {kind: len(list((TABLES / name).glob("*.toml"))) for kind, name in FOLDERS.items()}
    assert {kind: kinds.count(kind) for kind in kinds} == files
    assert ("cpu", "via-nano-2000") in {(row["kind"], row["name"]) for row in listed}


def test_list_of_one_kind():
    assert {row["kind"] for row in rows("list", "--kind", "gpu")} == {"gpu"}


@pytest.mark.parametrize("output", ["table", "csv", "json", "markdown"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--kind", "energy"),
        ("show", "via-nano-2000"),
        ("show", "--sites", "neoverse-n2"),
        ("show", "45nm"),
        ("show", "h200-sxm"),
        ("diff", "via-nano-2000", "via-nano-3000"),
        ("diff", "45nm", "7nm"),
        ("diff", "t4", "l4"),
    ],
    ids=" ".join,
)
def test_every_format(arguments, output):
    text = run(*arguments, "--format", output)
    assert text.endswith("\n")
    if output == "json":
        assert json.loads(text)


def test_show_gives_figures_with_quality_and_source():
    (fmul,) = (row for row in rows("show", "via-nano-2000") if row["op"] == "fp80_mul")
    assert fmul["latency_cycles"] == "4"
    assert (fmul["quality"], fmul["source"]) == ("measured", "agner-fog")


def test_show_spells_out_the_inner_loops():
    assert "adder (fp32): MAXPS/D MINPS/D xmm,xmm; ADDPS SUBPS xmm,xmm" in run("show", "via-nano-2000")
    (adder,) = (
        r
        for r in rows("show", "--sites", "neoverse-n2")
        if (r["arithmetic"], r["format"]) == ("adder", "fp32")
    )
    assert adder["instructions"].startswith("fabd")
    # fabd and fadd on two vector pipes: 4 sites a cycle.
    assert float(adder["sites_per_cycle"]) == 4


def test_diff_lists_what_differs():
    differing = {row["figure"]: row["ratio"] for row in rows("diff", "via-nano-2000", "via-nano-3000")}
    # ADDSS: 2 to 3, charged as 2.5, against 2.
    assert float(differing["fp32_add scalar 32 latency"]) == 2 / 2.5
    assert "fp80_mul x87 80 latency" not in differing


def test_check_accepts_every_built_in_table_and_compares_those_of_known_processors():
    checked = {row["name"]: row for row in rows("check")}
    assert {row["result"] for row in checked.values()} == {"valid"}
    assert int(checked["intel-haswell"]["compared"]) > 10
    assert checked["intel-haswell"]["warnings"] == "0"
    assert checked["rocket-rv64"]["compared"] == "" == checked["45nm"]["warnings"]


def test_check_warns_of_what_is_impossible_or_unlike_and_fails_if_strict(tmp_path):
    text = (TABLES / "cpus" / "cortex-m4.toml").read_text()
    path = tmp_path / "cortex-m4.toml"
    path.write_text(text.replace("14              14 ", "14              0.5"))
    (row,) = rows("check", str(path))
    assert row["warnings"] == "2"
    assert (
        "no divider" in row["problem"]
        and "fp32_div_scalar_cycles = 0.5 by the table, 14 by" in row["problem"]
    )
    result = CliRunner().invoke(hardware, ["check", str(path), "--strict"])
    assert isinstance(result.exception, AddercostError)
    assert result.exception.exit_code == 1


def test_check_names_the_malformed_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("schema = 1\nkind = 'cpu'\n")
    result = CliRunner().invoke(hardware, ["check", str(path), "--format", "csv"])
    assert isinstance(result.exception, AddercostError)
    assert result.exception.exit_code == 6
    assert "mine.toml" in str(result.exception)
    assert "malformed" in result.output


def test_a_users_folder_is_listed_and_shown(tmp_path):
    from addercost.hardware.loader import BUILT_IN

    (tmp_path / "mine.toml").write_text((BUILT_IN / "cpus" / "cortex-m4.toml").read_text())
    listed = rows("list", "--hardware-path", str(tmp_path))
    assert [row["origin"] for row in listed if row["name"] == "mine"] == ["user"]
    assert rows("show", "mine", "--hardware-path", str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("show", "via-nano-200"), "did you mean via-nano-2000", id="near-name"),
        pytest.param(("diff", "via-nano-2000", "45nm"), "name two tables of one kind", id="unlike-kinds"),
        pytest.param(("show", "45nm", "--sites"), "--sites needs a CPU", id="sites-of-energy"),
    ],
)
def test_bad_arguments(arguments, message):
    result = CliRunner().invoke(hardware, arguments)
    assert isinstance(result.exception, AddercostError)
    assert result.exception.exit_code == 2
    assert message in str(result.exception)
