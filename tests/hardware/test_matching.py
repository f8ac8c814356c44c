"""The built-in tables of a core, by LLVM's name for it."""

from __future__ import annotations

import sys

import pytest

from addercost.hardware.matching import core_name, matching_tables


def test_tables_of_a_core_are_those_whose_figures_are_llvms_for_it() -> None:
    """amd-zen4's source is llvm-mca -mcpu=znver4."""
    assert "amd-zen4" in matching_tables("znver4")
    assert "amd-zen4" not in matching_tables("znver3")


@pytest.mark.parametrize(
    ("core", "table"),
    [
        ("znver5", "amd-zen5"),
        ("cascadelake", "intel-cascadelake"),
        ("emeraldrapids", "intel-emeraldrapids"),
        ("graniterapids", "intel-graniterapids"),
    ],
)
def test_a_core_with_anothers_figures_has_its_own_table(core: str, table: str) -> None:
    """LLVM schedules it by the other core's model."""
    assert matching_tables(core) == (table,)


@pytest.mark.parametrize("core", ["", "znver", "no-such-core", "by"])
def test_an_unknown_core_has_none(core: str) -> None:
    assert matching_tables(core) == ()


def test_a_users_table_is_none_of_them(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from addercost.hardware.loader import BUILT_IN

    text = (BUILT_IN / "cpus" / "amd-zen4.toml").read_text("utf-8")
    (tmp_path / "amd-zen4.toml").write_text(text, "utf-8")
    monkeypatch.setenv("ADDERCOST_HARDWARE", str(tmp_path))
    assert "amd-zen4" not in matching_tables("znver4")


def test_without_llvm_the_core_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    assert core_name() == ""
