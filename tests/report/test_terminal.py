"""Bold text is for terminals that show it: NO_COLOR, TERM and output that is no terminal turn it off."""

from __future__ import annotations

import sys

import pytest

from addercost.cli import run
from addercost.report.formats.terminal import to_terminal
from addercost.report.table import Column, Kind, Table

BOLD = "\x1b[1m"


@pytest.mark.parametrize(
    ("variables", "terminal", "bold"),
    [
        pytest.param({}, True, True, id="a terminal"),
        pytest.param({}, False, False, id="no terminal"),
        # https://no-color.org: "when present and not an empty string (regardless of its value)".
        pytest.param({"NO_COLOR": "1"}, True, False, id="NO_COLOR"),
        pytest.param({"NO_COLOR": "0"}, True, False, id="NO_COLOR of any value"),
        pytest.param({"NO_COLOR": ""}, True, True, id="NO_COLOR empty"),
        pytest.param({"TERM": "dumb"}, True, False, id="a terminal without escape sequences"),
    ],
)
def test_bold_text(
    variables: dict[str, str],
    terminal: bool,
    bold: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {"TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    if "NO_COLOR" not in variables:
        monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert run(["hardware", "show", "45nm"]) == 0
    assert (BOLD in capsys.readouterr().out) == bold


GROUPED = Table(
    columns=(
        Column("name", "name"),
        *(Column(f"{what}@{place}", f"{what} on {place}", Kind.COUNT, group=place)
          for place in ("one", "two", "three") for what in ("cycles", "calls")),
    ),
    rows=[{"name": "a network", **{f"{what}@{place}": 1 for place in ("one", "two", "three")
                                   for what in ("cycles", "calls")}}],
)  # fmt: skip


@pytest.mark.parametrize(
    ("width", "groups"),
    [
        # "a network" takes 9 columns, a group "cycles on one", "calls on one" 2 + 13 + 2 + 12; of "three" 33.
        pytest.param(9 + 29 + 29 + 33, [["one", "two", "three"]], id="all-beside-each-other"),
        pytest.param(9 + 29 + 29 + 33 - 1, [["one", "two"], ["three"]], id="two-and-one"),
        pytest.param(9 + 29 + 29 - 1, [["one"], ["two"], ["three"]], id="one-below-the-other"),
    ],
)
def test_groups_of_a_wide_table_stand_one_below_the_other(width: int, groups: list[list[str]]) -> None:
    lines = to_terminal(GROUPED, width).splitlines()
    headings = [line for line in lines if line.startswith("name ")]
    assert [[word for word in line.split() if word in ("one", "two", "three")][::2] for line in headings] == (
        groups
    )
    assert len([line for line in lines if line.startswith("a network")]) == len(groups)
    assert all(len(line) <= width for line in lines)
    assert not any("hidden" in line for line in lines)
