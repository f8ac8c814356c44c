"""Bold text is for terminals that show it: NO_COLOR, TERM and output that is no terminal turn it off."""

from __future__ import annotations

import sys

import pytest

from addercost.cli import run

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
