"""Texts of models and files do nothing where they are written."""

from __future__ import annotations

import json

import pytest

from addercost.text import LONGEST_ERROR, error_line, error_text, harmless_json, printable, spreadsheet_cell


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", "\\x3a:error::x"),
        ("  ::set-output name=a::b", "  \\x3a:set-output name=a::b"),
        ("layer ##[error]x", "layer \\x23#[error]x"),
        ("##vso[task.setvariable]x", "\\x23#vso[task.setvariable]x"),
        ("std::vector", "std::vector"),
        ("aten::add and std::vector", "aten::add and std::vector"),
        ("halide ::error::x", "halide \\x3a:error::x"),
        ("x::error file=a,line=1::y", "x\\x3a:error file=a,line=1::y"),
        ("halide\t::stop", "halide\\t::stop"),
        ("## a heading", "## a heading"),
        ("a\n::error::", "a\\n\\x3a:error::"),
    ],
)
def test_no_text_is_a_command_to_a_runner_of_continuous_integration(text: str, shown: str) -> None:
    """GitHub takes `::` at the start of a line and `##[` anywhere, Azure `##vso[` anywhere."""
    assert printable(text) == shown


@pytest.mark.parametrize("first", list("=+-@＝＋－＠"))
def test_no_text_is_a_formula_to_a_spreadsheet(first: str) -> None:
    assert spreadsheet_cell(f"{first}1+1") == f"'{first}1+1"
    assert spreadsheet_cell(f"a{first}1") == f"a{first}1"


def test_an_error_is_cut_at_a_kilobyte_and_keeps_both_ends() -> None:
    line = error_line("first " + "x" * 10**6 + " last")
    assert len(line) == LONGEST_ERROR == 1024
    assert line.startswith("first ") and line.endswith(" last") and "…" in line


def test_an_error_that_cannot_say_what_it_is_says_nothing() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert error_text(SilentError()) == ""
    assert error_text(ValueError("a\n b")) == "a b"


@pytest.mark.parametrize("text", ["##[error]x", "##vso[task]x", "###[group]", "a ## b", "::error::x", "##"])
def test_json_has_no_command_and_means_the_same(text: str) -> None:
    """A line of JSON begins with a bracket, a quote, a digit or a letter of its own, so `::` begins none."""
    made = harmless_json(json.dumps({text: [text]}, indent=1))
    assert json.loads(made) == {text: [text]}
    assert "##" not in made
    assert not any(line.lstrip().startswith("::") for line in made.splitlines())


def test_the_json_of_a_table_has_no_command() -> None:
    from addercost.report.formats.table_json import to_json
    from addercost.report.table import Column, Table

    table = Table((Column("a", "a"),), [{"a": "##[error]x"}])
    assert json.loads(to_json(table)) == [{"a": "##[error]x"}] and "##" not in to_json(table)
